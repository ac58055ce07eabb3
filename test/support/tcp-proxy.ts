import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** What becomes of bytes on their way. `deaf`: the server gets what is said, and its answers are lost. */
export type Weather = 'fair' | 'black-hole' | 'deaf' | 'garbage' | Delay;

/** Of all connections, or of every second one only: what is said on two of them changes its order. */
interface Delay {
  readonly delayMs: number;
  readonly of?: 'odd' | 'even';
}

/** Stands between clients and a server, and spoils what they say to each other. */
export class TcpProxy {
  weather: Weather = 'fair';
  private readonly sockets = new Set<Socket>();
  private joined = 0;

  private constructor(
    private readonly server: Server,
    readonly port: number,
    /** Port that new connections lead to. */
    public target: number,
  ) {}

  static async before(target: number): Promise<TcpProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('The proxy has no port.');
    const proxy = new TcpProxy(server, address.port, target);
    server.on('connection', (client) => proxy.join(client, connect(proxy.target, '127.0.0.1')));
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Ends every connection; new ones are taken. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    const closed = once(this.server, 'close');
    this.server.close();
    await closed;
  }

  private join(client: Socket, server: Socket): void {
    const which = ++this.joined % 2 === 1 ? 'odd' : 'even';
    for (const [from, to, way] of [
      [client, server, 'request'],
      [server, client, 'reply'],
    ] as const) {
      const lane = new OneWay(to, way, which);
      this.sockets.add(from);
      from.on('data', (bytes) => {
        if (lane.pass(bytes, this.weather) === 'broken') from.destroy();
      });
      from.on('error', () => undefined);
      from.on('close', () => {
        this.sockets.delete(from);
        to.destroy();
      });
    }
  }
}

/** One direction of a connection. As in life, no byte overtakes another, and none comes behind one that was lost. */
class OneWay {
  private hasLost = false;
  private waiting = 0;
  private latest = 0;

  constructor(
    private readonly to: Socket,
    private readonly way: 'request' | 'reply',
    private readonly which: 'odd' | 'even',
  ) {}

  pass(bytes: Buffer, weather: Weather): 'passed' | 'broken' {
    if (weather === 'black-hole' || (weather === 'deaf' && this.way === 'reply')) this.hasLost = true;
    else if (this.hasLost) return 'broken';
    else if (weather === 'garbage' && this.way === 'reply') this.to.write('\u0000\u0001 not what was asked for\r\n');
    else this.deliver(bytes, typeof weather === 'object' ? this.delayOf(weather) : 0);
    return 'passed';
  }

  private delayOf({ delayMs, of }: Delay): number {
    return of === undefined || of === this.which ? delayMs : 0;
  }

  private deliver(bytes: Buffer, delayMs: number): void {
    if (delayMs === 0 && this.waiting === 0) {
      this.to.write(bytes);
      return;
    }
    this.latest = Math.max(this.latest, performance.now() + delayMs);
    this.waiting++;
    setTimeout(() => {
      this.waiting--;
      this.to.write(bytes);
    }, this.latest - performance.now());
  }
}
