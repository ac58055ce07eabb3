import { EventEmitter } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import { sendNumbers } from '../../../lib/http/event-stream.js';
import { LiveNumbers } from '../../../lib/http/live-numbers.js';
import { LaneApp } from '../../support/lane-app.js';

/** The response of a client whose speed of reading the test sets. */
class FakeResponse extends EventEmitter {
  readonly chunks: string[] = [];
  status = 0;
  isSlow = false;
  isEnded = false;
  destroyed = false;

  writeHead(status: number): void {
    this.status = status;
  }

  write(chunk: string): boolean {
    this.chunks.push(chunk);
    return !this.isSlow;
  }

  end(): void {
    this.isEnded = true;
    this.emit('close');
  }

  get frames(): number {
    return this.chunks.filter((chunk) => chunk.startsWith('event: numbers')).length;
  }
}

function open(): { readonly app: LaneApp; readonly numbers: LiveNumbers; readonly read: () => number } {
  const app = new LaneApp();
  let reads = 0;
  const { operations } = app;
  const counted = {
    metrics: () => {
      reads++;
      return operations.metrics();
    },
    status: () => operations.status(),
    doctor: () => operations.doctor(),
  };
  return { app, numbers: new LiveNumbers(counted, app.clock), read: () => reads };
}

describe('the live numbers', () => {
  it('are read once for all who listen, and not at all when nobody does', async () => {
    const { app, numbers, read } = open();
    await app.clock.advance('10s');
    expect(read()).toBe(0);
    const clients = [new FakeResponse(), new FakeResponse(), new FakeResponse()];
    for (const client of clients) sendNumbers(client, numbers);
    await app.clock.advance(0);
    const atStart = read();
    for (let n = 0; n < 5; n++) await app.clock.advance('2s');
    expect(read() - atStart).toBe(5);
    expect(clients.map(({ frames }) => frames)).toEqual([6, 6, 6]);
    for (const client of clients) client.end();
    await app.clock.advance('10s');
    expect(read() - atStart).toBe(5);
  });

  it('end after five minutes, so that guards are asked again', async () => {
    const { app, numbers } = open();
    const client = new FakeResponse();
    sendNumbers(client, numbers);
    await app.clock.advance('299s');
    expect(client.isEnded).toBe(false);
    await app.clock.advance('1s');
    expect(client.isEnded).toBe(true);
  });

  it('do not pile up for a client that reads slowly', async () => {
    const { app, numbers } = open();
    const client = new FakeResponse();
    client.isSlow = true;
    sendNumbers(client, numbers);
    for (let n = 0; n < 5; n++) await app.clock.advance('2s');
    expect(client.frames).toBe(1);
    client.isSlow = false;
    client.emit('drain');
    await app.clock.advance('2s');
    expect(client.frames).toBe(2);
  });

  it('end when the app closes, and begin no more', async () => {
    const { numbers } = open();
    const client = new FakeResponse();
    sendNumbers(client, numbers);
    numbers.onModuleDestroy();
    expect(client.isEnded).toBe(true);
    const late = new FakeResponse();
    sendNumbers(late, numbers);
    expect([late.status, late.isEnded]).toEqual([503, true]);
  });
});
