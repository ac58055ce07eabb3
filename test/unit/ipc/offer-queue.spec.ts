import { beforeEach, describe, expect, it } from '@jest/globals';
import { OfferQueue } from '../../../lib/ipc/offer-queue.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';

describe('offers to the owner of L3', () => {
  let clock: FakeClock;
  let sent: string[];
  let isConnected: boolean;
  let queue: OfferQueue;
  beforeEach(() => {
    clock = new FakeClock();
    sent = [];
    isConnected = true;
    const line = { sendEntryFrame: (frame: Buffer) => void sent.push(frame.toString()) };
    queue = new OfferQueue({
      clock,
      line: () => (isConnected ? line : undefined),
      syncFrame: (id) => Buffer.from(`sync ${id}`),
    });
  });
  const add = (...names: readonly string[]): void => {
    for (const name of names) queue.add(Buffer.from(name));
  };

  it('are sent at once, and the owner is asked a moment later whether it has stored them', async () => {
    add('a', 'b');
    expect(sent).toEqual(['a', 'b']);
    await clock.advance('1s');
    expect(sent).toEqual(['a', 'b', 'sync 1']);
    queue.synced(1);
    add('c');
    await clock.advance('1s');
    expect(sent).toEqual(['a', 'b', 'sync 1', 'c', 'sync 2']);
  });

  it('go to the next owner if the one before has not stored them', async () => {
    add('a');
    await clock.advance('1s');
    add('b');
    queue.synced(1);
    isConnected = false;
    queue.reconnected();
    add('c');
    sent.length = 0;
    isConnected = true;
    queue.reconnected();
    expect(sent).toEqual(['b', 'c', 'sync 2']);
    // Of the connection before.
    queue.synced(1);
    expect(queue.take().map(String)).toEqual(['b', 'c']);
  });

  it('are waited for until the owner has stored them, and no longer once they are given up', async () => {
    add('a');
    let stored = 0;
    void queue.whenStored().then(() => stored++);
    add('b');
    void queue.whenStored().then(() => stored++);
    queue.synced(1);
    await clock.advance('1ms');
    expect(stored).toBe(1);
    queue.take();
    await clock.advance('1ms');
    expect(stored).toBe(2);
    await queue.whenStored();
  });

  it('are bounded', () => {
    queue.add(Buffer.alloc(8 * 1024 * 1024));
    expect(queue.isFull).toBe(false);
    add('one more');
    expect(queue.isFull).toBe(true);
    queue.take();
    expect(queue.isFull).toBe(false);
  });
});
