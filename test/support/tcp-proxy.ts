import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** What becomes of bytes on their way. */
export type Weather = 'fair' | 'black-hole' | 'garbage' | { readonly delayMs: number };

/** Stands between clients and a server, and spoils what they say to each other. */
export class TcpProxy {
  weather: Weather = 'fair';
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  static async before(target: number): Promise<TcpProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('The proxy has no port.');
    const proxy = new TcpProxy(server, address.port);
    server.on('connection', (client) => proxy.join(client, connect(target, '127.0.0.1')));
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
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.sockets.add(from);
      from.on('data', (bytes) => this.pass(bytes, to, to === client ? 'reply' : 'request'));
      from.on('error', () => undefined);
      from.on('close', () => {
        this.sockets.delete(from);
        to.destroy();
      });
    }
  }

  private pass(bytes: Buffer, to: Socket, way: 'request' | 'reply'): void {
    const { weather } = this;
    if (weather === 'black-hole') return;
    if (typeof weather === 'object') setTimeout(() => to.write(bytes), weather.delayMs);
    else if (weather === 'garbage' && way === 'reply') to.write(Buffer.from('\u0000\u0001 not what was asked for\r\n'));
    else to.write(bytes);
  }
}
