import { createServer, type Server, type Socket } from 'node:net';
import { type Clock, settledWithin } from '../clock/clock.js';
import { isEntryFrame } from './entry-frames.js';
import type { FrameService } from './entry-service.js';
import { socketAddress } from './socket.js';
import { once } from 'node:events';
import {
  carry,
  FrameReader,
  writeFrame,
  decodeAsked,
  decodeHello,
  encodeMessage,
  hello,
  PROTOCOL,
  type Hello,
  type Request,
  type Response,
} from './protocol.js';

/** Calls under way get this long to end when the server closes. */
const DRAIN_MS = 1_000;
/** What clients have sent before they learn of the end is read for so long. */
const FAREWELL_MS = 250;

/**
 * Answers other processes of this user while this one owns the directory. Only this user may enter the folder of the
 * socket. It keeps no process alive.
 */
export class IpcServer {
  private readonly conversations = new Set<ClientConnection>();

  private constructor(
    private readonly server: Server,
    private readonly answers: Answers,
    private readonly clock: Clock,
    private readonly services: Services,
  ) {
    server.on('connection', (socket) => this.talk(socket));
  }

  /** Listens at `path`, which must be free. Rejects with the system's error. */
  static listen(path: string, answers: Answers, clock: Clock, services: Services = {}): Promise<IpcServer> {
    return new Promise((resolve, reject) => {
      const server = createServer();
      server.once('error', reject);
      const listening = new IpcServer(server, answers, clock, services);
      // exclusive: in a cluster the primary would listen instead, and hand calls to workers that are dead
      server.listen({ path: socketAddress(path), exclusive: true }, () => {
        server.unref();
        server.removeListener('error', reject);
        // Accepting may fail for want of descriptors. The client tries again.
        server.on('error', () => undefined);
        resolve(listening);
      });
    });
  }

  /**
   * Accepts no connections any more, gives running calls one second to end, takes what clients have sent already, and closes
   * the connections.
   */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    const drained = Promise.all([...this.conversations].map((one) => one.drained()));
    await settledWithin(this.clock, drained, DRAIN_MS);
    for (const conversation of this.conversations) conversation.sayFarewell();
    await settledWithin(this.clock, closed, FAREWELL_MS);
    for (const conversation of this.conversations) conversation.destroy();
    await closed;
  }

  private talk(socket: Socket): void {
    socket.unref();
    const conversation = new ClientConnection(socket, this.answers, this.services.entries);
    this.conversations.add(conversation);
    socket.once('close', () => {
      this.conversations.delete(conversation);
      this.services.left?.(conversation);
    });
  }
}

/** What a server does beside answering calls. */
interface Services {
  /** Answers frames of entries. */
  readonly entries?: FrameService;
  /** Learns that a caller is gone. */
  readonly left?: (caller: object) => void;
}

/** One thing that can be asked for: a promise of the whole answer, or the answer in parts. `caller` stands for who asks. */
export type Answer = (args: readonly unknown[], caller: object) => Promise<unknown> | AsyncIterable<unknown>;
export type Answers = Pick<ReadonlyMap<string, Answer>, 'get'>;

/** The owner's end of one connection. Calls are started in the order in which they were sent. */
class ClientConnection {
  private readonly reader = new FrameReader();
  private readonly running = new Map<number, Promise<void>>();
  private readonly cancelled = new Set<number>();
  private hasShakenHands = false;
  private isEnding = false;
  private draining: Promise<void> | undefined;

  constructor(
    private readonly socket: Socket,
    private readonly answers: Answers,
    private readonly entries: FrameService = () => undefined,
  ) {
    socket.on('error', () => socket.destroy());
    socket.on('data', (piece) => this.receive(piece));
  }

  async drained(): Promise<void> {
    while (this.running.size > 0) await Promise.all(this.running.values());
  }

  /** Answers nothing more. Takes what the client offers until it has ended the connection as well. */
  sayFarewell(): void {
    this.isEnding = true;
    this.socket.end();
  }

  /** Ends the connection after what is queued has been sent. */
  hangUp(): void {
    this.socket.destroySoon();
  }

  destroy(): void {
    this.socket.destroy();
  }

  private receive(piece: Buffer): void {
    try {
      this.reader.push(piece, (body) => {
        if (this.hasShakenHands && isEntryFrame(body)) this.entries(body, this.reply);
        else if (this.isEnding) return;
        else if (this.hasShakenHands) this.asked(body);
        else this.shakeHands(decodeHello(body));
      });
    } catch {
      // A peer of another protocol gets no answer.
      this.socket.destroy();
    }
  }

  private readonly reply = (frame: Buffer): void => {
    if (!this.isEnding && !this.socket.destroyed) writeFrame(this.socket, frame);
  };

  private shakeHands({ protocol }: Hello): void {
    this.hasShakenHands = true;
    writeFrame(this.socket, encodeMessage(hello()));
    if (protocol !== PROTOCOL) this.hangUp();
  }

  private asked(body: Uint8Array): void {
    const message = decodeAsked(body);
    if ('cancel' in message) {
      if (this.running.has(message.id)) this.cancelled.add(message.id);
      return;
    }
    const { id } = message;
    const done = this.answer(message).finally(() => {
      this.running.delete(id);
      this.cancelled.delete(id);
    });
    this.running.set(id, done);
  }

  /** Never rejects. */
  private async answer({ id, call, args }: Request): Promise<void> {
    try {
      const answer = this.answers.get(call);
      if (answer === undefined) throw new TypeError(`There is no '${call}' to ask for.`);
      const given = answer(args, this);
      if (given instanceof Promise) await this.send({ id, value: await given });
      else await this.sendInParts(id, given);
    } catch (error) {
      await this.send({ id, error: carry(error) }).catch(() => this.hangUp());
    }
  }

  private async sendInParts(id: number, parts: AsyncIterable<unknown>): Promise<void> {
    for await (const part of parts) {
      if (this.cancelled.has(id) || this.socket.destroyed) return;
      await this.send({ id, part });
    }
    await this.send({ id, value: undefined });
  }

  /** Resolves when the other end can take more. */
  private async send(response: Response): Promise<void> {
    if (this.socket.destroyed) return;
    const takesMore = writeFrame(this.socket, encodeMessage(response));
    if (!takesMore) await (this.draining ??= this.drain());
  }

  /** One wait for all answers of the connection. */
  private async drain(): Promise<void> {
    const gone = new AbortController();
    const leave = (): void => gone.abort();
    this.socket.once('close', leave);
    await once(this.socket, 'drain', { signal: gone.signal }).catch(() => undefined);
    this.socket.removeListener('close', leave);
    this.draining = undefined;
  }
}
