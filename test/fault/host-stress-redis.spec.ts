import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Workshop } from '../support/child-process.js';
import { roundsOf, tell } from '../support/fault-table.js';
import { HOST_STRESS, type HostStressSeen } from '../support/host-stress.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';
import { StorageBench } from '../support/storage.js';

describeWithRedis({ describe }, 'processes of one directory that share a server as well', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  let server: RedisServer;
  beforeAll(async () => {
    [server, workshop] = await Promise.all([RedisServer.start(), Workshop.build()]);
  }, 60_000);
  afterEach(() => bench.dispose());
  afterAll(() => Promise.all([server.dispose(), workshop.dispose()]));

  it('serve nothing that another one has invalidated or set, killed or stopped as they are', async () => {
    const rounds = roundsOf(2, 60);
    const seed = String(Date.now() % 1_000_000);
    const args = [4, rounds * 100, rounds, rounds].map(String);
    const child = await workshop.run(HOST_STRESS, [await bench.path('cache'), ...args, seed, '', server.url]);
    const { status, lines } = await child.end();
    const seen: Partial<HostStressSeen> = JSON.parse(lines[0] ?? '{}');
    const { gets = 0, stale = -1, lost = -1, crashes = -1 } = seen;
    tell({ fault: 'H2 processes of one directory and one server', rounds, calls: gets, wrong: stale, lost, crashes });
    expect({ seed, status, errors: child.errors, ...seen }).toMatchObject({
      ...{ status: 0, errors: '', stale: 0, refused: 0, lost: 0, crashes: 0, hangs: 0, examples: [] },
    });
    expect(seen.kills).toBe(rounds);
    expect(seen.pending).toBeLessThanOrEqual(1 + (seen.changes ?? 0) / 1_000);
  }, 1_800_000);
});
