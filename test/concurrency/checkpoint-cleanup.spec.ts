import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { checkpointsOver } from '../support/checkpoints.js';
import { StorageBench } from '../support/storage.js';

const IDS = 300;

const stateOf = (id: number): Buffer => Buffer.alloc(id === 7 ? 9 * 1024 ** 2 : 200 + id * 100, `${id};`);

describe('restores while a cleanup runs', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  it('give the state or undefined, never an error, never half', async () => {
    const options = { durability: 'durable', onMarkerLeft: 'probe' } as const;
    const { environment, report } = await bench.environment(await bench.path('checkpoints'), options);
    const { service, store, clock } = checkpointsOver(environment);
    await Promise.all(Array.from({ length: IDS }, (_, id) => service.cacheCheckpoint(`id ${id}`, stateOf(id))));
    await clock.advance('8d');

    const seen = { whole: 0, gone: 0, other: 0 };
    const cleaning = new AbortController();
    const look = async (from: number): Promise<void> => {
      for (let n = from; !cleaning.signal.aborted; n += 1) {
        const id = n % IDS;
        const state = await service.restoreCheckpoint<Buffer>(`id ${id}`);
        seen[state === undefined ? 'gone' : stateOf(id).equals(state) ? 'whole' : 'other'] += 1;
        await nextTurn();
      }
    };
    const looking = [look(0), look(150), look(299)];
    const { removed } = await service.cleanupOldCheckpoints();
    cleaning.abort();
    await Promise.all(looking);

    expect(removed).toBe(IDS);
    expect(seen).toEqual({ whole: expect.any(Number), gone: expect.any(Number), other: 0 });
    expect(seen.whole).toBeGreaterThan(0);
    expect(seen.gone).toBeGreaterThan(0);
    await store.close();
    expect(report.faults).toEqual([]);
  });
});
