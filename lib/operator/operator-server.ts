import { createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../clock/clock.js';
import { withDeadline } from '../clock/timers.js';
import { socketAddress } from './socket-address.js';
import { Conversation, type Answers } from './conversation.js';

/** Calls under way get this long to end when the server closes. */
const DRAIN_MS = 1_000;

/**
 * Answers other processes of this user as long as this one owns the directory. The folder around the socket, which
 * nobody else may enter, is its protection. Keeps no process alive.
 */
export class OperatorServer {
  private readonly conversations = new Set<Conversation>();

  private constructor(
    private readonly server: Server,
    private readonly answers: Answers,
    private readonly clock: Clock,
  ) {
    server.on('connection', (socket) => this.talk(socket));
  }

  /** Listens at `path`, where nobody may listen. Rejects with the system's error. */
  static listen(path: string, answers: Answers, clock: Clock): Promise<OperatorServer> {
    return new Promise((resolve, reject) => {
      const server = createServer();
      server.once('error', reject);
      const listening = new OperatorServer(server, answers, clock);
      // exclusive: in a cluster the primary would listen instead, and hand calls to workers that are dead
      server.listen({ path: socketAddress(path), exclusive: true }, () => {
        server.unref();
        server.removeListener('error', reject);
        // accepting may fail for want of descriptors; whoever could not be accepted tries again
        server.on('error', () => undefined);
        resolve(listening);
      });
    });
  }

  /** Accepts nobody any more, lets the calls under way end, at most a second, and hangs up. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    const drained = Promise.all([...this.conversations].map((one) => one.drained()));
    await withDeadline(this.clock, drained, DRAIN_MS, 'calls of other processes').catch(() => undefined);
    for (const conversation of this.conversations) conversation.hangUp();
    await closed;
  }

  private talk(socket: Socket): void {
    socket.unref();
    const conversation = new Conversation(socket, this.answers);
    this.conversations.add(conversation);
    socket.once('close', () => this.conversations.delete(conversation));
  }
}
