import type { LiveNumbers } from './live-numbers.js';

/** What is used of a response of Node. */
interface StreamResponse {
  readonly destroyed: boolean;
  writeHead(status: number, headers: Readonly<Record<string, string>>): unknown;
  write(chunk: string): boolean;
  end(chunk?: string | Uint8Array): unknown;
  once(event: 'close' | 'drain', listener: () => void): unknown;
}

/** A response of Express, or a reply of Fastify. */
export type PlatformReply = StreamResponse | { readonly raw: StreamResponse; hijack(): unknown };

/** Streams end after it. Browsers connect again, and are asked by the guards again. */
const LONGEST_MS = 300_000;
const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  // no-transform: a compressing middleware would hold the events back
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
  'x-content-type-options': 'nosniff',
};

/** Sends the numbers as server-sent events, until the client leaves, five minutes have passed, or the app closes. */
export function sendNumbers(reply: PlatformReply, numbers: LiveNumbers): void {
  const response = rawOf(reply);
  let isDraining = false;
  const end = (): void => void response.end();
  const leave = numbers.listen({
    frame: (json) => {
      // A slow client misses frames. Each is a whole state.
      if (isDraining || response.destroyed) return;
      isDraining = !response.write(`event: numbers\ndata: ${json}\n\n`);
      if (isDraining) response.once('drain', () => (isDraining = false));
    },
    ended: end,
  });
  if (leave === undefined) {
    response.writeHead(503, { 'content-type': 'text/plain; charset=utf-8', 'retry-after': '5' });
    response.end('There are too many streams, or the app closes.');
    return;
  }
  response.writeHead(200, HEADERS);
  response.write('retry: 2000\n\n');
  const cancel = numbers.clock.schedule(LONGEST_MS, end);
  response.once('close', () => {
    cancel();
    leave();
  });
}

/** The response of Node, from then on in the caller's hands. */
export function rawOf(reply: PlatformReply): StreamResponse {
  if (!('raw' in reply)) return reply;
  reply.hijack();
  return reply.raw;
}
