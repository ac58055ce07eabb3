import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { COMMAND_MS } from '../model/shared-log/instance.js';
import { InstanceBench } from '../support/instance-bench.js';

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

  it('ask for the state of the log at most every 300 ms each', async () => {
    const before = author.server.handshakes;
    await invalidateFor(3_000, 10);
    const asked = author.server.handshakes - before;
    expect(asked).toBeGreaterThan(2 * 6);
    expect(asked).toBeLessThanOrEqual(2 * 11);
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
    author.network.isFollowerHeld = true;
    await pass(2 * COMMAND_MS);
    author.network.isFollowerHeld = false;
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
