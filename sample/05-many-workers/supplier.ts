import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const ANSWERS_AFTER_MS = 20;

/** The slow source of all prices. */
export class Supplier {
  /** How often it was asked. */
  asked = 0;
  private readonly versions = new Map<string, number>();

  static async open(): Promise<Supplier> {
    const server = createServer();
    const supplier = new Supplier(server);
    server.on('request', (request, response) => {
      const article = request.url?.slice(1) ?? '';
      supplier.asked++;
      // The price is the one of now, although the answer comes later.
      const body = JSON.stringify({ article, version: supplier.versionOf(article) });
      void pause(ANSWERS_AFTER_MS).then(() => response.setHeader('content-type', 'application/json').end(body));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return supplier;
  }

  private constructor(private readonly server: Server) {}

  get url(): string {
    const { port } = this.server.address() as AddressInfo;
    return `http://127.0.0.1:${port}`;
  }

  versionOf(article: string): number {
    return this.versions.get(article) ?? 1;
  }

  change(article: string): number {
    const version = this.versionOf(article) + 1;
    this.versions.set(article, version);
    return version;
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}
