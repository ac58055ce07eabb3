import { ValueCodec } from '../entries/codec/value-codec.js';
import { BadFrame } from './frames.js';
import { isCarried, type CarriedError } from './carried-error.js';

/** Raised when an older release could misunderstand what is said. */
export const PROTOCOL = 1;
const GREETING = 'nestjs-lane-cache';

/** The first message of either side. */
export interface Hello {
  readonly hello: typeof GREETING;
  readonly protocol: number;
  readonly pid: number;
}

/** Asks for something; `args` and what comes back hold nothing but what a checkpoint could hold. */
export interface Request {
  readonly id: number;
  readonly call: string;
  readonly args: readonly unknown[];
}

/** The asker wants no more parts. */
export interface Cancel {
  readonly id: number;
  readonly cancel: true;
}

/** `part`: more follows. `value` and `error` end the answer. */
export type Response =
  | { readonly id: number; readonly part: unknown }
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: CarriedError };

export const hello = (): Hello => ({ hello: GREETING, protocol: PROTOCOL, pid: process.pid });

const codec = Object.freeze(new ValueCodec());

/** Throws TypeError naming what in the message cannot be sent. */
export function encodeMessage(message: Hello | Request | Cancel | Response): Uint8Array {
  const encoded = codec.encode(message);
  if (!encoded.storable) throw new TypeError(`This cannot be sent to another process: ${encoded.reason}`);
  return encoded.bytes;
}

export function decodeHello(bytes: Uint8Array): Hello {
  const { hello: greeting, protocol, pid } = fieldsOf(bytes);
  if (greeting !== GREETING || typeof protocol !== 'number' || typeof pid !== 'number') throw notOurs();
  return { hello: GREETING, protocol, pid };
}

export function decodeAsked(bytes: Uint8Array): Request | Cancel {
  const { id, call, args, cancel } = fieldsOf(bytes);
  if (typeof id !== 'number') throw notOurs();
  if (cancel === true) return { id, cancel };
  if (typeof call !== 'string' || !Array.isArray(args)) throw notOurs();
  return { id, call, args };
}

export function decodeResponse(bytes: Uint8Array): Response {
  const fields = fieldsOf(bytes);
  const { id, error } = fields;
  if (typeof id !== 'number') throw notOurs();
  if ('part' in fields) return { id, part: fields['part'] };
  if (!('error' in fields)) return { id, value: fields['value'] };
  if (!isCarried(error)) throw notOurs();
  return { id, error };
}

function fieldsOf(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  const message = codec.decode(bytes);
  if (typeof message !== 'object' || message === null) throw notOurs();
  return { ...message };
}

function notOurs(): BadFrame {
  return new BadFrame('a message was not understood');
}
