import { afterEach, describe, expect, it } from '@jest/globals';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { cp, readdir, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { StorageBench } from '../support/storage.js';

const MINUTE = 60;
const VALUE_BYTES = 15 * 1024 * 1024;
/** Larger than what is read whole at a start without a second thought. */
const LARGE = 5;
const SMALL = 1;

describe('a directory whose owner was killed', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  /** What a kill leaves of a holder who last wrote `lifeSeconds` after it had opened. */
  const killed = async (values: number, lifeSeconds: number): Promise<string> => {
    const [alive, dead] = [await bench.path(), await bench.path()];
    const { environment } = await bench.environment(alive);
    const table = environment.table('t');
    for (let n = 0; n < values; n++) {
      await environment.commit((transaction) => transaction.put(table, `k${n}`, Buffer.alloc(VALUE_BYTES, n)));
    }
    await cp(alive, dead, { recursive: true, preserveTimestamps: true });
    const marker = (await readdir(dead)).find((name) => name.startsWith('running.'));
    const lastWrite = (await stat(join(dead, 'data.mdb'))).mtimeMs / 1_000;
    await utimes(join(dead, String(marker)), lastWrite - lifeSeconds, lastWrite - lifeSeconds);
    return dead;
  };

  /** How many processes were started to open it, with everything in it. */
  const processesToOpen = async (directory: string, values: number, onMarkerLeft: 'quarantine' | 'probe') => {
    let started = 0;
    const count = (): void => void started++;
    subscribe('child_process', count);
    try {
      const { environment, report } = await bench.environment(directory, { onMarkerLeft });
      expect([report.quarantines, environment.table('t').get(`k${values - 1}`)?.[0]]).toEqual([[], values - 1]);
      return started;
    } finally {
      unsubscribe('child_process', count);
    }
  };

  it.each(['quarantine', 'probe'] as const)(
    'while it served is taken over at once, however large its file (%s)',
    async (onMarkerLeft) => {
      expect(await processesToOpen(await killed(LARGE, 2 * MINUTE), LARGE, onMarkerLeft)).toBe(0);
    },
  );

  it.each([
    ['young', LARGE, MINUTE / 2],
    ['over a file that is soon read', SMALL, 2 * MINUTE],
  ])('%s has all of it read by another process first', async (_, values, lifeSeconds) => {
    expect(await processesToOpen(await killed(values, lifeSeconds), values, 'quarantine')).toBe(1);
  });
});
