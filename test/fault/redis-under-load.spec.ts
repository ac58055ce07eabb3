import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { COMMAND_MS } from '../model/shared-log/instance.js';
import { KeySpace } from '../../lib/redis/keys.js';
import { APPEND } from '../../lib/redis/shared-log/scripts.js';
import { memberOf, packRecord } from '../../lib/redis/shared-log/record-codec.js';
import { shakeHandsWith } from '../../lib/redis/shared-log/subscriber.js';
import { InstanceBench } from '../support/instance-bench.js';
import type { ModelRedis } from '../support/model-redis.js';

/** The log is lost, and another instance begins a new one, with so many records. */
async function beginAnew(server: ModelRedis, records: number): Promise<void> {
  const keys = new KeySpace('p');
  const port = {
    command: async (args: readonly (string | Uint8Array)[]) => server.execute(args.map((one) => Buffer.from(one))),
  };
  for (const name of keys.log) server.evict(name);
  const known = { keys, trustPersistence: false, seen: undefined, patternsKnown: 0, timeoutMs: COMMAND_MS };
  const { generation } = (await shakeHandsWith(port, known)).cursor;
  const record = { kind: 'key', lane: 'standard', subject: 'old' } as const;
  const args = [generation, 'key', 'standard', memberOf(record), packRecord(generation, 'another', record)];
  for (let n = 0; n < records; n++) await APPEND.run(port, keys.log, [...args, '1000', '1000', '1000'], COMMAND_MS);
}

describe('instances while invalidations keep coming', () => {
  let author: InstanceBench;
  let other: InstanceBench;

  beforeEach(async () => {
    author = new InstanceBench();
    other = new InstanceBench(author.clock, author.server);
    await author.start();
    await other.start();
    await author.pass(100);
  });

  afterEach(() => {
    author.end();
    other.end();
  });

  /** Both networks carry their messages, in small steps. */
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 10) {
      await author.pass(10);
      for (const each of [other, author, other]) await each.carry();
    }
  };

  const invalidateFor = async (ms: number, everyMs: number): Promise<void> => {
    for (let at = 0; at < ms; at += everyMs) {
      const done = author.app.manager().invalidate(`k${at}`);
      await pass(everyMs);
      await done;
    }
  };

  it('ask for the state of the log every 2 s, because its records show that it is the same', async () => {
    const before = author.server.handshakes;
    await invalidateFor(6_000, 10);
    const asked = author.server.handshakes - before;
    expect(asked).toBeGreaterThanOrEqual(2 * 2);
    expect(asked).toBeLessThanOrEqual(2 * 3);
  });

  it('ask for it every 300 ms once the records have stopped', async () => {
    await invalidateFor(3_000, 10);
    await pass(300);
    const before = author.server.handshakes;
    await pass(3_000);
    const asked = author.server.handshakes - before;
    expect(asked).toBeGreaterThan(2 * 6);
    expect(asked).toBeLessThanOrEqual(2 * 11);
  });

  it('serve from memory all the time, because the records show that nothing is missing', async () => {
    const cache = other.app.manager();
    const stored = cache.getOrSet('held', () => 'value');
    await pass(50);
    await stored;
    for (let n = 0; n < 40; n++) {
      const { l1 } = cache.getMetrics();
      await invalidateFor(100, 10);
      void cache.getOrSet('held', () => 'another');
      expect(cache.getMetrics().l1.hits).toBe(l1.hits + 1);
    }
  });

  it('drop what they hold at a record of another log, even if its number is the next', async () => {
    const cache = other.app.manager();
    const answer = cache.getOrSet('old', () => 'value');
    await invalidateFor(500, 10);
    await answer;
    // As if all of it went by between two reads of this instance.
    await beginAnew(author.server, other.app.log.position + 10);
    await pass(220);
    const again = cache.getOrSet('old', () => 'newer');
    await pass(50);
    expect(await again).toBe('newer');
  });

  it('read many records at once, and follow all of them', async () => {
    const reads = other.network.reads;
    const before = other.app.log.position;
    await invalidateFor(3_000, 10);
    await pass(200);
    expect(other.app.log.position - before).toBe(300);
    expect(other.network.reads - reads).toBeLessThan(100);
  });

  it('follow a record that comes alone at once', async () => {
    await pass(1_000);
    const before = other.app.log.position;
    const done = author.app.manager().invalidate('k');
    for (const each of [author, other]) await each.carry();
    expect(other.app.log.position - before).toBe(1);
    await pass(10);
    await done;
  });

  it('resolve when the server has the record, if no other came before', async () => {
    await invalidateFor(500, 10);
    const { reads } = author.network;
    const done = author.app.manager().invalidate('k');
    await author.carry();
    await done;
    expect(author.network.reads).toBe(reads);
  });

  it('wait for their own record for longer than the server may take to answer', async () => {
    const done = author.app.manager().invalidate('mine');
    // The server gets both, and the record of the other is the first.
    const first = other.app.manager().invalidate('theirs');
    await other.carry();
    author.network.isReaderHeld = true;
    await pass(2 * COMMAND_MS);
    author.network.isReaderHeld = false;
    await pass(100);
    await expect(Promise.all([first, done])).resolves.toEqual([false, false]);
  });

  it('know at once that the server is gone, also while they gather records', async () => {
    await invalidateFor(1_000, 10);
    other.network.cut();
    await other.carry();
    expect(other.app.manager().getMetrics().l4.state).toBe('off');
  });

  it('notice within a heartbeat that the log began anew, even if its numbers go on where they were', async () => {
    const cache = other.app.manager();
    const answer = cache.getOrSet('old', () => 'value');
    await pass(50);
    await answer;
    for (const name of author.server.names) author.server.evict(name);
    await pass(700);
    const again = cache.getOrSet('old', () => 'newer');
    await pass(50);
    expect(await again).toBe('newer');
  });
});
