import { describe, expect, it } from '@jest/globals';
import { KeepAlive } from '../../../../lib/clock/clock.js';
import { ClusterRouter } from '../../../../lib/redis/client/cluster-router.js';
import { Connection } from '../../../../lib/redis/client/connection.js';
import type { RedisClusterPort, RedisPort } from '../../../../lib/redis/client/redis-client.js';
import { KeySpace } from '../../../../lib/redis/keys.js';
import { AppliedInvalidations, CursorHistory } from '../../../../lib/redis/shared-log/applied-records.js';
import { ServerTime } from '../../../../lib/redis/shared-log/freshness.js';
import { SpreadEntries } from '../../../../lib/redis/tier/spread-entries.js';
import { FakeClock } from '../../../../lib/testing/fake-clock.js';

/** A cluster of one node, which gives the same answer to each GET. */
function answeringGet(answer: unknown): RedisClusterPort {
  const port: RedisPort = {
    command: async ([command]) => (command === 'GET' ? answer : [[0, 16_383, [Buffer.from('a'), 1]]]),
    duplicate: () => Promise.resolve(port),
    connected: true,
    onStateChange: () => () => undefined,
    close: () => Promise.resolve(),
  };
  return { seed: () => Promise.resolve('a:1'), open: () => Promise.resolve(port) };
}

/** What a look-up is given where GET is answered so. */
async function lookedUp(answer: unknown, later = 'g'): Promise<unknown> {
  const clock = new FakeClock();
  const settings = { timeoutMs: 250, hold: new KeepAlive(clock), changed: () => undefined };
  const router = new ClusterRouter(answeringGet(answer), clock, settings);
  const connection = await Connection.open(router.templateOf('k'), clock, settings);
  const cursors = new CursorHistory();
  cursors.note(0, { generation: 'g', sequence: 0 });
  const applied = new AppliedInvalidations('spread');
  applied.beginAt(0);
  const state = { applied, cursors, serverTime: new ServerTime(), life: clock };
  const entries = new SpreadEntries({ router, keys: new KeySpace('app', 'spread'), ...state });
  const found = await new Promise((resolve) => {
    entries.read(connection, 'g', { lane: 'l', key: 'k', found: resolve, failed: (error) => resolve(String(error)) });
    cursors.note(1, { generation: later, sequence: 0 });
  });
  await router.close();
  return found;
}

describe('an entry of another node', () => {
  it.each([5, 'OK', ['a list'], {}])('is a failed look-up where the node answers %p', async (answer) => {
    expect(await lookedUp(answer)).toMatch(/^UnexpectedReply: Redis gave something else than bytes/);
  });

  it('counts in the generation in which it was looked up', async () => {
    const entry = Buffer.alloc(20);
    expect([await lookedUp(entry), await lookedUp(entry, 'another')]).toEqual([
      { birth: 0, goneAt: 0, tags: Buffer.alloc(0), record: Buffer.alloc(0) },
      undefined,
    ]);
  });

  it.each([null, Buffer.from('of another program')])('is none where the node answers %p', async (answer) => {
    expect(await lookedUp(answer)).toBeUndefined();
  });
});
