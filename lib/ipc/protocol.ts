import { ValueCodec } from '../entries/codec/value-codec.js';
import type { Socket } from 'node:net';
import { ComputeTimeoutError, InvalidationNotDurableError, UnknownLaneError } from '../errors/cache.errors.js';
import {
  CheckpointConflictError,
  CheckpointDamagedError,
  CheckpointTooLargeError,
} from '../errors/checkpoint.errors.js';
import { isLaneCacheError, LaneCacheError, type LaneCacheErrorCode } from '../errors/lane-cache.error.js';
import { LARGEST_VALUE_BYTES } from '../lanes/units.js';
import { StorageFault, type StorageFaultKind } from '../storage/environment.js';

/** Raised when an older release could misread a message. */
export const PROTOCOL = 2;
const MAGIC = 'nestjs-lane-cache';

/** The first message of either side. */
export interface Hello {
  readonly hello: typeof MAGIC;
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
interface Cancel {
  readonly id: number;
  readonly cancel: true;
}

/** `part`: more follows. `value` and `error` end the answer. */
export type Response =
  | { readonly id: number; readonly part: unknown }
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: CarriedError };

export const hello = (): Hello => ({ hello: MAGIC, protocol: PROTOCOL, pid: process.pid });

const codec = Object.freeze(new ValueCodec());

/** Throws TypeError naming what in the message cannot be sent. */
export function encodeMessage(message: Hello | Request | Cancel | Response): Uint8Array {
  const encoded = codec.encode(message);
  if (!encoded.storable) throw new TypeError(`This cannot be sent to another process: ${encoded.reason}`);
  return encoded.bytes;
}

export function decodeHello(bytes: Uint8Array): Hello {
  const { hello: magic, protocol, pid } = fieldsOf(bytes);
  if (magic !== MAGIC || typeof protocol !== 'number' || typeof pid !== 'number') throw notOurs();
  return { hello: MAGIC, protocol, pid };
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

/** The largest message: a state or an entry, with room for what goes with it. */
const MAX_FRAME_BYTES = LARGEST_VALUE_BYTES + 16 * 1024 ** 2;
const HEADER_BYTES = 4;

/** The other end sent what is no message, or sends one that is too large. */
class BadFrame extends Error {
  override readonly name = 'BadFrame';
}

/** Up to this size, copying a message behind its length costs less than writing two pieces. */
const COPIED_BYTES = 16 * 1024;

/** Writes one message, its length first. Whether the socket takes more at once. Throws BadFrame on one that is too large. */
export function writeFrame(socket: Socket, body: Uint8Array): boolean {
  if (body.length > MAX_FRAME_BYTES) throw new BadFrame(`a message of ${body.length} bytes is too large`);
  if (body.length <= COPIED_BYTES) {
    const frame = Buffer.allocUnsafe(HEADER_BYTES + body.length);
    frame.writeUInt32BE(body.length);
    frame.set(body, HEADER_BYTES);
    return socket.write(frame);
  }
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(body.length);
  socket.cork();
  socket.write(header);
  const takesMore = socket.write(body);
  socket.uncork();
  return takesMore;
}

/** Puts messages together from the pieces in which they arrive. */
export class FrameReader {
  private readonly pieces: Buffer[] = [];
  private waiting = 0;
  private wanted: number | undefined;

  /** Hands over every message that `piece` completes. Throws BadFrame before it holds more than one message may have. */
  push(piece: Buffer, take: (body: Buffer) => void): void {
    this.pieces.push(piece);
    this.waiting += piece.length;
    for (;;) {
      this.wanted ??= this.waiting >= HEADER_BYTES ? this.cut(HEADER_BYTES).readUInt32BE() : undefined;
      if (this.wanted === undefined) return;
      if (this.wanted > MAX_FRAME_BYTES) throw new BadFrame(`a message of ${this.wanted} bytes was announced`);
      if (this.waiting < this.wanted) return;
      const body = this.cut(this.wanted);
      this.wanted = undefined;
      take(body);
    }
  }

  private cut(bytes: number): Buffer {
    const [first] = this.pieces;
    const all = this.pieces.length === 1 && first !== undefined ? first : Buffer.concat(this.pieces, this.waiting);
    this.pieces.splice(0);
    if (all.length > bytes) this.pieces.push(all.subarray(bytes));
    this.waiting = all.length - bytes;
    return all.subarray(0, bytes);
  }
}

/** An error on its way to another process. */
type CarriedError =
  | {
      readonly kind: 'ours';
      readonly code: LaneCacheErrorCode;
      readonly message: string;
      readonly fields: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: 'fault'; readonly fault: StorageFaultKind; readonly message: string }
  | { readonly kind: 'other'; readonly message: string };

const CLASSES: Readonly<Partial<Record<LaneCacheErrorCode, { readonly prototype: LaneCacheError }>>> = {
  LANE_UNKNOWN: UnknownLaneError,
  COMPUTE_TIMEOUT: ComputeTimeoutError,
  INVALIDATION_NOT_DURABLE: InvalidationNotDurableError,
  CHECKPOINT_CONFLICT: CheckpointConflictError,
  CHECKPOINT_DAMAGED: CheckpointDamagedError,
  CHECKPOINT_TOO_LARGE: CheckpointTooLargeError,
};

const OWN_OF_ALL = new Set(['name', 'code', 'stack', 'message', 'cause']);

export function carry(error: unknown): CarriedError {
  if (isLaneCacheError(error)) {
    const fields = Object.fromEntries(Object.entries(error).filter(([name]) => !OWN_OF_ALL.has(name)));
    return { kind: 'ours', code: error.code, message: error.message, fields };
  }
  if (error instanceof StorageFault) return { kind: 'fault', fault: error.kind, message: error.message };
  return { kind: 'other', message: error instanceof Error ? error.message : String(error) };
}

/** Whether what came from another process is an error. */
function isCarried(error: unknown): error is CarriedError {
  if (typeof error !== 'object' || error === null) return false;
  const { kind, code, fault, fields, message }: Readonly<Record<string, unknown>> = { ...error };
  if (typeof message !== 'string') return false;
  if (kind === 'ours') return typeof code === 'string' && typeof fields === 'object' && fields !== null;
  return kind === 'fault' ? typeof fault === 'string' : kind === 'other';
}

/** The error as it was thrown there: of the same class, with the same code, text and fields. */
export function unpack(carried: CarriedError): Error {
  if (carried.kind === 'fault') return new StorageFault(carried.fault, carried.message);
  if (carried.kind === 'other') return new Error(carried.message);
  const error = new LaneCacheError(carried.code, carried.message);
  const prototype = CLASSES[carried.code]?.prototype;
  if (prototype !== undefined) {
    Object.setPrototypeOf(error, prototype);
    error.name = prototype.constructor.name;
  }
  return Object.assign(error, carried.fields);
}
