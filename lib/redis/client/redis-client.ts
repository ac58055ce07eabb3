import { createHash } from 'node:crypto';
import { systemClock, DeadlineError, scheduleWhileTurning } from '../../clock/clock.js';

/** One argument of a command. Text goes out as UTF-8. */
export type RedisArgument = string | Uint8Array;

/** The argument as clients take it. */
export function textOrBuffer(argument: RedisArgument): string | Buffer {
  if (typeof argument === 'string' || Buffer.isBuffer(argument)) return argument;
  return Buffer.from(argument.buffer, argument.byteOffset, argument.byteLength);
}

/** What the library needs of a Redis or Valkey client. Bytes in, bytes out: bulk replies are `Buffer`. */
export interface RedisPort {
  /** Sends one command. Rejects with the server's error, when the connection is lost, and after `timeoutMs`. */
  command(args: readonly RedisArgument[], options?: { readonly timeoutMs?: number }): Promise<unknown>;
  /** Opens a connection of its own, for blocking reads. Rejects when that fails. */
  duplicate(): Promise<RedisPort>;
  readonly connected: boolean;
  /** Returns the function that stops listening. */
  onStateChange(listener: (connected: boolean) => void): () => void;
  /** Ends a connection that `duplicate` opened. A client of the app is left to the app. */
  close(): Promise<void>;
}

/** What connections are opened from. It need not be connected itself. */
export type RedisTemplate = Pick<RedisPort, 'duplicate' | 'close'>;

/** What the library needs of a client of a Redis Cluster. It routes commands itself, and has a connection for each node. */
export interface RedisClusterPort {
  /** Finds a node of the cluster by the client's own settings: 'host:port'. */
  seed(): Promise<string>;
  /** Opens a connection to one node, with the settings of the client. Rejects when that fails. */
  open(address: string): Promise<RedisPort>;
}

export const isRedisClusterPort = (port: RedisTemplate | RedisClusterPort): port is RedisClusterPort => 'seed' in port;

/** Host and port of 'host:port'. The host may be an IPv6 address. */
export function placeOf(address: string): { readonly host: string; readonly port: number } {
  const at = address.lastIndexOf(':');
  return { host: address.slice(0, at), port: Number(address.slice(at + 1)) };
}

/** How a client maps the addresses that a cluster announces to those that it can reach. */
export type AddressMap =
  | Readonly<Record<string, { readonly host: string; readonly port: number }>>
  | ((address: string) => { readonly host: string; readonly port: number } | null | undefined)
  | undefined;

export function reachable(map: AddressMap, address: string): { readonly host: string; readonly port: number } {
  return (typeof map === 'function' ? map(address) : map?.[address]) ?? placeOf(address);
}

/** Whether a given client is a RedisPort. */
export function isRedisPort(client: object): client is RedisPort {
  return (
    'command' in client &&
    typeof client.command === 'function' &&
    'duplicate' in client &&
    'onStateChange' in client &&
    'close' in client
  );
}

/** Calls listeners once for each change of state. */
export class ConnectionState {
  private readonly listeners = new Set<(connected: boolean) => void>();
  private now: boolean;

  constructor(connected: boolean) {
    this.now = connected;
  }

  listen(listener: (connected: boolean) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  become(connected: boolean): void {
    if (connected === this.now) return;
    this.now = connected;
    for (const listener of this.listeners) listener(connected);
  }
}

/** Readers of the scripts' replies. Each throws for a reply of another shape, because replies come over the network. */

class UnexpectedReply extends Error {
  override readonly name = 'UnexpectedReply';
}

export function listOf(reply: unknown): readonly unknown[] {
  if (!Array.isArray(reply)) throw new UnexpectedReply('Redis gave something else than a list.');
  return reply;
}

export function textOf(reply: unknown): string {
  if (typeof reply === 'string') return reply;
  if (typeof reply === 'number') return String(reply);
  return bytesOf(reply).toString('utf8');
}

export function bytesOf(reply: unknown): Buffer {
  if (Buffer.isBuffer(reply)) return reply;
  if (reply instanceof Uint8Array) return Buffer.from(reply.buffer, reply.byteOffset, reply.byteLength);
  throw new UnexpectedReply('Redis gave something else than bytes.');
}

export function numberOf(reply: unknown): number {
  const number = typeof reply === 'number' ? reply : Number(textOf(reply));
  if (!Number.isFinite(number)) throw new UnexpectedReply('Redis gave something else than a number.');
  return number;
}

export function textsOf(reply: unknown): readonly string[] {
  return listOf(reply).map(textOf);
}

/** A Lua script, run by its hash. The text is sent only when the server does not know it. */
export class Script {
  private readonly hash: string;

  constructor(private readonly text: string) {
    this.hash = createHash('sha1').update(text).digest('hex');
  }

  /** Loads it into the server. */
  async load(port: RedisPort, timeoutMs: number): Promise<void> {
    await port.command(['SCRIPT', 'LOAD', this.text], { timeoutMs });
  }

  async run(
    port: Pick<RedisPort, 'command'>,
    keys: readonly string[],
    args: readonly RedisArgument[],
    timeoutMs: number,
  ): Promise<unknown> {
    const rest = [`${keys.length}`, ...keys, ...args];
    try {
      return await port.command(['EVALSHA', this.hash, ...rest], { timeoutMs });
    } catch (error) {
      if (!messageOf(error).startsWith('NOSCRIPT')) throw error;
      return port.command(['EVAL', this.text, ...rest], { timeoutMs });
    }
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * Settles like `sent`, or rejects with DeadlineError after `timeoutMs`. A reply that has arrived counts, however late this
 * process reads it: after a blocked event loop, timers run before sockets are read.
 */
export function answer(sent: Promise<unknown>, timeoutMs: number): Promise<unknown> {
  if (timeoutMs === Infinity) return sent;
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(new DeadlineError('Redis', timeoutMs));
    const cancel = scheduleWhileTurning(systemClock, timeoutMs, giveUp);
    sent.then(resolve, reject).finally(cancel);
  });
}
