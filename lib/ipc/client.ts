import { connect, type Socket } from 'node:net';
import { type Clock, KeepAlive, scheduleWhileTurning } from '../clock/clock.js';
import {
  unpack,
  FrameReader,
  writeFrame,
  decodeHello,
  decodeResponse,
  encodeMessage,
  hello,
  PROTOCOL,
  type Response,
} from './protocol.js';
import { isEntryFrame } from './entry-frames.js';
import { socketAddress } from './socket.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';

/** Nobody answers, or no longer. Whether what was asked has been done is unknown. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

/** The owner is there, but does not answer in time. */
export class OwnerSilent extends Error {
  override readonly name: string = 'OwnerSilent';
}

/** The owner is of a release that speaks another protocol. */
export class OwnerForeign extends OwnerSilent {
  override readonly name = 'OwnerForeign';
}

interface Waiting {
  readonly take: (response: Response) => void;
  readonly fail: (error: Error) => void;
}

const nothing = (): void => undefined;

/** The asking end of a connection. Keeps the process alive only while an answer is awaited. */
export class IpcConnection {
  private readonly reader = new FrameReader();
  private readonly waiting = new Map<number, Waiting>();
  private ids = 0;
  private lost: Error | undefined;
  private pid: number | undefined;
  private held = 0;
  private takeEntries: (body: Buffer) => void = nothing;
  private tellLost = nothing;

  private constructor(private readonly socket: Socket) {}

  /** Rejects with ConnectionLost if no process listens, with OwnerSilent if the process does not answer in time, or cannot. */
  static open(path: string, clock: Clock, withinMs: number): Promise<IpcConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(socketAddress(path));
      const connection = new IpcConnection(socket);
      const late = (): void => {
        reject(new OwnerSilent(`the owner did not answer within ${withinMs} ms`));
        socket.destroy();
      };
      const cancel = scheduleWhileTurning(clock, withinMs, late);
      const opened = (error?: Error): void => {
        cancel();
        if (error === undefined) resolve(connection);
        else reject(error);
      };
      socket.on('data', (piece) => connection.receive(piece, opened));
      socket.on('error', (error) => connection.lose(error, opened));
      socket.on('close', () => connection.lose(undefined, opened));
      writeFrame(socket, encodeMessage(hello()));
    });
  }

  /** `take` gets every frame of entries. What it throws ends the connection. */
  onEntryFrame(take: (body: Buffer) => void): void {
    this.takeEntries = take;
  }

  /** `tell` is called once when the connection has ended. */
  whenLost(tell: () => void): void {
    if (this.lost === undefined) this.tellLost = tell;
    else tell();
  }

  sendEntryFrame(body: Buffer): void {
    if (this.isOpen) writeFrame(this.socket, body);
  }

  /** Keeps the process alive until as many calls of `release`. */
  hold(): void {
    if (this.held++ === 0) this.socket.ref();
  }

  release(): void {
    this.held--;
    this.unrefIfIdle();
  }

  /** Process id of the owner. */
  get ownerPid(): number {
    return this.pid ?? 0;
  }

  get isOpen(): boolean {
    return this.lost === undefined;
  }

  /** Calls are carried out in the order in which they are made. Rejects with what the owner threw, or ConnectionLost. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller of a call knows its type
  call<T>(name: string, ...args: readonly unknown[]): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.ask(name, args, {
        take: (response) => {
          if ('error' in response) reject(unpack(response.error));
          // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the handshake has shown that both speak the same protocol
          else if ('value' in response) resolve(response.value as T);
        },
        fail: reject,
      });
    });
  }

  /** An answer in parts. Ending the iteration early makes the owner stop. */
  async *parts<T>(name: string, ...args: readonly unknown[]): AsyncGenerator<T, void, undefined> {
    const arrived: (Response | Error)[] = [];
    let wake = nothing;
    const add = (item: Response | Error): void => {
      arrived.push(item);
      wake();
    };
    const id = this.ask(name, args, { take: add, fail: add });
    try {
      for (;;) {
        const next = arrived.shift();
        if (next === undefined) await new Promise<void>((woken) => (wake = woken));
        else if (next instanceof Error) throw next;
        else if ('value' in next) return;
        else if ('error' in next) throw unpack(next.error);
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
        else yield next.part as T;
      }
    } finally {
      if (id !== undefined && this.waiting.has(id)) this.cancel(id);
    }
  }

  close(): void {
    this.socket.destroySoon();
  }

  private ask(call: string, args: readonly unknown[], waiting: Waiting): number | undefined {
    if (this.lost !== undefined) {
      waiting.fail(this.lost);
      return undefined;
    }
    const id = ++this.ids;
    try {
      writeFrame(this.socket, encodeMessage({ id, call, args }));
    } catch (error) {
      waiting.fail(error instanceof Error ? error : new Error(String(error)));
      return undefined;
    }
    this.waiting.set(id, waiting);
    this.socket.ref();
    return id;
  }

  private cancel(id: number): void {
    this.forget(id);
    if (this.isOpen) writeFrame(this.socket, encodeMessage({ id, cancel: true }));
  }

  private forget(id: number): void {
    this.waiting.delete(id);
    this.unrefIfIdle();
  }

  private unrefIfIdle(): void {
    if (this.waiting.size === 0 && this.held <= 0) this.socket.unref();
  }

  private receive(piece: Buffer, opened: (error?: Error) => void): void {
    try {
      this.reader.push(piece, (body) => {
        if (this.pid === undefined) this.shakeHands(body, opened);
        else if (isEntryFrame(body)) this.takeEntries(body);
        else this.settle(decodeResponse(body));
      });
    } catch (error) {
      this.lose(error, opened);
      this.socket.destroy();
    }
  }

  private shakeHands(body: Uint8Array, opened: (error?: Error) => void): void {
    const { protocol, pid } = decodeHello(body);
    this.pid = pid;
    if (protocol !== PROTOCOL) {
      const text = `the owner, process ${pid}, runs a release of nestjs-lane-cache that speaks another protocol (${protocol}, not ${PROTOCOL})`;
      opened(new OwnerForeign(text));
      this.socket.destroy();
      return;
    }
    this.socket.unref();
    opened();
  }

  private settle(response: Response): void {
    const waiting = this.waiting.get(response.id);
    if (waiting === undefined) return;
    if (!('part' in response)) this.forget(response.id);
    waiting.take(response);
  }

  private lose(cause: unknown, opened: (error?: Error) => void): void {
    this.lost ??= new ConnectionLost('the owner of the directory no longer answers', { cause });
    opened(this.lost);
    for (const { fail } of this.waiting.values()) fail(this.lost);
    this.waiting.clear();
    const tell = this.tellLost;
    this.tellLost = nothing;
    tell();
  }
}

export interface OwnerClientOptions {
  /** Where the owner of the directory listens. */
  readonly path: string;
  readonly clock: Clock;
  /** How long to look for an owner: one that went away is followed by another within two seconds. */
  readonly deadlineMs: number;
}

const LOOK_AGAIN_MS = 50;

/** The connection to the owner of the directory. It is opened when it is first needed, and again after it was lost. */
export class OwnerClient {
  private connection: IpcConnection | undefined;
  private connecting: Promise<IpcConnection | undefined> | undefined;
  private readonly keepAlive = new KeepAlive();

  constructor(private readonly options: OwnerClientOptions) {}

  /**
   * The connection. Undefined once `isSettled` returns that none is needed. Rejects with CHECKPOINTS_UNAVAILABLE when no
   * owner answers in time. Callers that wait at the same time continue in the order in which they came.
   */
  connected(isSettled: () => boolean): Promise<IpcConnection | undefined> {
    if (isSettled()) return Promise.resolve(undefined);
    if (this.connecting !== undefined && (this.connection === undefined || this.connection.isOpen))
      return this.connecting;
    this.connection = undefined;
    this.connecting = this.keepAlive.during(this.look(isSettled));
    this.connecting.catch(() => (this.connecting = undefined));
    return this.connecting;
  }

  hangUp(): void {
    this.connection?.close();
    this.connecting = undefined;
    this.connection = undefined;
  }

  private async look(isSettled: () => boolean): Promise<IpcConnection | undefined> {
    const { clock, deadlineMs, path } = this.options;
    const until = clock.monotonic() + deadlineMs;
    for (;;) {
      if (isSettled()) return undefined;
      const left = Math.max(1, until - clock.monotonic());
      try {
        this.connection = await IpcConnection.open(path, clock, left);
        return this.connection;
      } catch (error) {
        if (!(error instanceof ConnectionLost) || clock.monotonic() >= until) throw noAnswer(error);
      }
      await new Promise<void>((again) => clock.schedule(LOOK_AGAIN_MS, again));
    }
  }
}

function noAnswer(cause: unknown): LaneCacheError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new LaneCacheError(
    'CHECKPOINTS_UNAVAILABLE',
    `Checkpoints are not available: another process owns the directory, and ${why}. See that it runs, and the same release as this one; the next call tries again.`,
    { cause },
  );
}
