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

  it('are asked about at the next owner, although the one before has not answered', async () => {
    add('a');
    await clock.advance('1s');
    queue.reconnected();
    queue.synced(2);
    sent.length = 0;
    add('b');
    await clock.advance('1s');
    expect(sent).toEqual(['b', 'sync 3']);
  });

  it('are kept until they are stored, in whatever order the answers come', () => {
    for (const name of ['a', 'b']) {
      add(name);
      void queue.whenStored();
    }
    queue.synced(2);
    add('c');
    void queue.whenStored();
    add('d');
    queue.synced(1);
    queue.synced(3);
    expect(queue.take().map(String)).toEqual(['d']);
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

  it('are asked about whenever many bytes were added, so that the owner says how it gets on', () => {
    const large = 'x'.repeat(300 * 1024);
    add(large, large, large, large);
    expect(sent.map((frame) => (frame === large ? 'large' : frame))).toEqual([
      ...['large', 'large', 'sync 1', 'large', 'large', 'sync 2'],
    ]);
  });

  it('are asked about at no other moment as long as an answer is still to come', async () => {
    const large = 'x'.repeat(512 * 1024);
    add(large, large, 'a');
    const syncs = (): readonly string[] => sent.filter((frame) => frame.startsWith('sync'));
    await clock.advance('1s');
    queue.synced(1);
    expect(syncs()).toEqual(['sync 1', 'sync 2']);
    queue.synced(2);
    expect(syncs()).toEqual(['sync 1', 'sync 2', 'sync 3']);
  });

  it('make room as the owner stores some, or as they are given up', async () => {
    const half = 'x'.repeat(2.5 * 1024 * 1024);
    let made = 0;
    add(half);
    expect(queue.isBusy).toBe(false);
    const arrived = queue.expect(2 * 1024 * 1024);
    expect(queue.isBusy).toBe(true);
    arrived();
    expect(queue.isBusy).toBe(false);
    add(half);
    expect(queue.isBusy).toBe(true);
    void queue.progress().then(() => made++);
    queue.synced(1);
    await clock.advance('1ms');
    expect([made, queue.isBusy]).toEqual([1, false]);
    void queue.progress().then(() => made++);
    queue.take();
    await clock.advance('1ms');
    expect(made).toBe(2);
  });

  it('are crowded while there is room still, also by what is about to be added', () => {
    queue.add(Buffer.alloc(16 * 1024 * 1024));
    expect([queue.isBusy, queue.isCrowded]).toEqual([true, false]);
    const arrived = queue.expect(1);
    expect([queue.isCrowded, queue.isFull]).toEqual([true, false]);
    arrived();
    expect(queue.isCrowded).toBe(false);
    add('one more');
    expect(queue.isCrowded).toBe(true);
  });

  it('are bounded', () => {
    queue.add(Buffer.alloc(32 * 1024 * 1024));
    expect(queue.isFull).toBe(false);
    add('one more');
    expect(queue.isFull).toBe(true);
    queue.take();
    expect(queue.isFull).toBe(false);
    const arrived = queue.expect(32 * 1024 * 1024 + 1);
    expect(queue.isFull).toBe(true);
    arrived();
    expect(queue.isFull).toBe(false);
  });
});
