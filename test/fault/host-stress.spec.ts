import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { edited, Workshop } from '../support/child-process.js';
import { roundsOf, tell } from '../support/fault-table.js';
import { HostStress, type StressResult } from '../support/host-workers.js';
import { StorageBench } from '../support/storage.js';

const HOST_LOG = 'lib/invalidation/host-log.ts';
const SMALL_SEGMENTS = edited('4 * 1024 * 1024', '20_000');

describe('the processes of one directory', () => {
  const bench = new StorageBench();
  const workshops: Workshop[] = [];
  let workshop: Workshop;
  const variant = async (edit: (source: string) => string): Promise<Workshop> => {
    const made = await workshop.variant(new Map([[HOST_LOG, edit]]));
    workshops.push(made);
    return made;
  };
  beforeAll(async () => workshops.push((workshop = await Workshop.build())));
  afterAll(async () => {
    for (const each of workshops) await each.dispose();
  });
  afterEach(() => bench.dispose());

  const stress = async (of: Workshop, gets: number, disturbed: boolean): Promise<StressResult & { seed: number }> => {
    const seed = Date.now() % 1_000_000;
    const [directory, scratch] = [await bench.path('cache'), await bench.path('source')];
    const workers = roundsOf(4, 16);
    return { seed, ...(await HostStress.run(of, { directory, scratch, workers, gets, seed, disturbed })) };
  };

  it('serve nothing that one of them had invalidated, while some are killed and stopped', async () => {
    const rounds = roundsOf(1, 60);
    const seen = await stress(await variant(SMALL_SEGMENTS), rounds * 1_500, true);
    const { gets: calls, stale, crashes } = seen;
    tell({
      fault: 'H1 processes of one directory',
      rounds,
      calls,
      wrong: stale.length,
      lost: 0,
      crashes: crashes.length,
    });
    expect(seen).toMatchObject({ stale: [], crashes: [] });
  }, 1_800_000);
});
