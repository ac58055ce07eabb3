import { request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { Price } from './prices.service.js';
import type { Supplier } from './supplier.js';

const ARTICLES = Array.from({ length: 200 }, (_, number) => `article-${number}`);
const CALLERS = 8;
const CHANGE_EVERY = 25;
/** A connection that the primary has handed to a worker that dies is never answered. */
const ANSWERS_WITHIN_MS = 3_000;

/** Asks for prices, changes some, and looks whether an answer is older than a change that had been announced before. */
export class Load {
  readonly seen = { requests: 0, changes: 0, stale: 0, cut: 0 };
  private readonly announced = new Map<string, number>();
  private readonly changing = new Set<string>();
  private isOver = false;
  private callers: Promise<void>[] = [];

  constructor(
    private readonly port: () => number,
    private readonly supplier: Supplier,
  ) {}

  /** Resolves after so many more. */
  async requests(more: number): Promise<void> {
    const until = this.seen.requests + more;
    while (this.seen.requests < until) await pause(20);
  }

  begin(): void {
    this.callers = Array.from({ length: CALLERS }, () => this.call());
  }

  async end(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.callers);
  }

  /** Every price once. */
  async askForAll(): Promise<void> {
    for (const article of ARTICLES) await this.ask(article);
  }

  private async call(): Promise<void> {
    for (let turn = 1; !this.isOver; turn++) {
      const article = ARTICLES[Math.floor(Math.random() * ARTICLES.length)] ?? '';
      if (turn % CHANGE_EVERY === 0) await this.change(article);
      await this.ask(article);
    }
  }

  private async ask(article: string): Promise<void> {
    const announced = this.announced.get(article) ?? 0;
    const { version } = JSON.parse(await this.send('GET', `/prices/${article}`)) as Price;
    this.seen.requests++;
    if (version < announced) this.seen.stale++;
  }

  /** One change of an article at a time, so that it is known which one must be seen. */
  private async change(article: string): Promise<void> {
    if (this.changing.has(article)) return;
    this.changing.add(article);
    const version = this.supplier.change(article);
    await this.send('POST', `/prices/${article}/changed`);
    this.announced.set(article, version);
    this.seen.changes++;
    this.changing.delete(article);
  }

  /** Asks again when the worker was killed meanwhile, as a proxy does. */
  private async send(method: 'GET' | 'POST', path: string): Promise<string> {
    for (;;) {
      try {
        return await sendOnce(this.port(), method, path);
      } catch {
        this.seen.cut++;
      }
    }
  }
}

/** On a connection of its own, so that every worker gets its share. */
function sendOnce(port: number, method: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, method, path, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => (body += text));
      response.on('error', reject);
      response.on('end', () => {
        if ((response.statusCode ?? 500) < 300) resolve(body);
        else reject(new Error(`${method} ${path}: ${response.statusCode}`));
      });
    });
    sent.setTimeout(ANSWERS_WITHIN_MS, () => sent.destroy(new Error('no answer')));
    sent.on('error', reject);
    sent.end();
  });
}
