import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { edited, Workshop } from '../support/child-process.js';
import { roundsOf, tell } from '../support/fault-table.js';
import { HOST_STRESS, type HostStressSeen } from '../support/host-stress.js';
import { StorageBench } from '../support/storage.js';

const SMALL_SEGMENTS = new Map([['lib/invalidation/host-log.ts', edited('4 * 1024 * 1024', '20_000')]]);
/** Its workers answer that a key is invalidated, and do nothing. */
const FORGETFUL = edited('key: ({ key }) => cache.invalidate(key)', 'key: () => undefined')(HOST_STRESS);

describe('the processes of one directory', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  let small: Workshop;
  beforeAll(async () => {
    workshop = await Workshop.build();
    small = await workshop.variant(SMALL_SEGMENTS);
  });
  afterAll(async () => {
    for (const one of [workshop, small]) await one.dispose();
  });
  afterEach(() => bench.dispose());

  it('serve nothing that any of them had invalidated or set before, killed or stopped as they are', async () => {
    const seed = String(Date.now() % 1_000_000);
    const rounds = roundsOf(6, 300);
    // 300 rounds: 1,000,000 answers of 16 processes, 300 kills, 200 stops.
    const [workers, getsOfARound] = rounds > 60 ? [16, 3_334] : [rounds > 6 ? 8 : 4, 500];
    const args = [workers, rounds * getsOfARound, rounds, Math.ceil((rounds * 2) / 3)].map(String);
    const child = await small.run(HOST_STRESS, [await bench.path('cache'), ...args, seed]);
    const { status, lines } = await child.end();
    const seen: Partial<HostStressSeen> = JSON.parse(lines[0] ?? '{}');
    const { gets = 0, stale = -1, lost = -1, crashes = -1 } = seen;
    tell({ fault: 'H1 processes of one directory', rounds, calls: gets, wrong: stale, lost, crashes });
    expect({ seed, status, errors: child.errors, ...seen }).toMatchObject({
      ...{ status: 0, errors: '', stale: 0, pending: 0, refused: 0, lost: 0, crashes: 0, hangs: 0, examples: [] },
    });
    expect(Math.min(seen.l3Hits ?? 0, seen.saved ?? 0, seen.kills ?? 0)).toBeGreaterThan(0);
  }, 14_400_000);

  it('would be found to serve what was invalidated, if they did', async () => {
    const child = await small.run(FORGETFUL, [await bench.path('cache'), '2', '2000', '0', '0', '7']);
    const { lines } = await child.end();
    const { gets = 0, stale = 0, examples = [] }: Partial<HostStressSeen> = JSON.parse(lines[0] ?? '{}');
    expect([gets >= 2_000, stale > 0, examples.length > 0]).toEqual([true, true, true]);
    // Which change is missed first differs from run to run.
    expect(examples[0]).toMatchObject({ key: expect.stringMatching(/^key-/), value: expect.any(Number) });
  }, 120_000);
});
