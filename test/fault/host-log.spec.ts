import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { edited, Workshop } from '../support/child-process.js';
import { roundsOf, tell } from '../support/fault-table.js';
import { HOST_STRESS } from '../support/host-stress.js';
import { StorageBench } from '../support/storage.js';

interface Stress {
  readonly workers: number;
  readonly gets: number;
  readonly kills: number;
  readonly stops: number;
}

describe('the processes of one directory', () => {
  const bench = new StorageBench();
  const seed = String(Date.now() % 1_000_000);
  let workshop: Workshop;
  const variants: Workshop[] = [];
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(async () => {
    for (const one of [workshop, ...variants]) await one.dispose();
  });
  afterEach(() => bench.dispose());

  const variant = async (file: string, edit: (source: string) => string): Promise<Workshop> => {
    const made = await workshop.variant(new Map([[file, edit]]));
    variants.push(made);
    return made;
  };

  const stress = async (of: Workshop, { workers, gets, kills, stops }: Stress) => {
    const args = [workers, gets, kills, stops].map(String);
    const child = await of.run(HOST_STRESS, [await bench.path('cache'), ...args, seed]);
    const { status, lines } = await child.end();
    const seen = JSON.parse(lines[0] ?? '{}');
    return { seed, status, errors: child.errors, ...seen };
  };

  it('serve nothing that any of them had invalidated or set before, killed or stopped as they are', async () => {
    const small = await variant('lib/invalidation/host-log.ts', edited('4 * 1024 * 1024', '20_000'));
    const rounds = roundsOf(6, 300);
    const faults = { kills: rounds, stops: Math.ceil((rounds * 2) / 3) };
    const seen = await stress(small, { workers: rounds > 6 ? 8 : 4, gets: rounds * 700, ...faults });
    const { gets: calls, stale: wrong, refused: lost, crashes } = seen;
    tell({
      fault: 'H1 one log for all processes of a directory, killed and stopped',
      rounds,
      calls,
      wrong,
      lost,
      crashes,
    });
    expect(seen).toMatchObject({ status: 0, errors: '', stale: 0, refused: 0, crashes: 0 });
  }, 1_800_000);
});
