import { afterEach, describe, expect, it } from '@jest/globals';
import type { CheckpointDraft } from '../../lib/checkpoints/checkpoint-store.js';
import { STORE_KEY, storeRow } from '../../lib/checkpoints/local/checkpoint-tables.js';
import { systemClock } from '../../lib/clock/clock.js';
import { checkpointAnswers, RemoteCheckpointStore } from '../../lib/ipc/remote-checkpoint-store.js';
import { IpcServer } from '../../lib/ipc/server.js';
import { checkpointsInMemory } from '../support/checkpoints.js';
import { Deferred } from '../support/deferred.js';
import { StorageBench } from '../support/storage.js';

const draft = (more: Partial<CheckpointDraft> = {}): CheckpointDraft => ({
  id: 'a',
  lane: 'standard',
  savedAt: 0,
  sizeBytes: 1,
  checksum: '',
  ...more,
});

const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, n) => n);

describe('saves of one id whose owner ends before it answers', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  it.each([8, 100])('are stored once, all %i of them', async (count) => {
    const path = await bench.path('owner.sock');
    const { store } = checkpointsInMemory();
    const allSaved = new Deferred<void>();
    let saved = 0;
    const answers = checkpointAnswers(() => store).map(([name, answer]) => {
      const silent: typeof answer = async (...args) => {
        const given = await answer(...args);
        if (name !== 'checkpoints.save') return given;
        if (++saved === count) allSaved.resolve();
        return new Promise(() => undefined);
      };
      return [name, silent] as const;
    });
    const server = await IpcServer.listen(path, new Map(answers), systemClock);
    const remote = new RemoteCheckpointStore({ path, clock: systemClock, deadlineMs: 20_000 });
    const saves = numbers(count).map((n) => remote.save(draft(), Uint8Array.of(n % 256)));
    await allSaved.promise;
    remote.succeed(store);
    const outcomes = await Promise.all(saves);
    expect(outcomes.map((one) => one.outcome === 'saved' && one.record.version)).toEqual(
      numbers(count).map((n) => n + 1),
    );
    expect(await store.versions('a')).toHaveLength(count);
    await remote.close();
    void server.close();
    await store.close();
  });

  it('are stored once, also where their versions are trimmed or removed since', async () => {
    const { store } = checkpointsInMemory();
    const trim = { keepVersions: 2, keepUnfinished: false };
    const sendAll = (): Promise<unknown> =>
      Promise.all(numbers(200).map((n) => store.save(draft({ token: `t${n}` }), Uint8Array.of(1), { trim })));
    await sendAll();
    const before = await store.versions('a');
    await store.remove('a', 200);
    await sendAll();
    expect(await store.versions('a')).toEqual(before.filter((version) => version !== 200));
  });

  it('leave a bounded number of rows behind', async () => {
    const { store, environment } = checkpointsInMemory();
    const send = (token: string): Promise<unknown> => store.save(draft({ token }), Uint8Array.of(1));
    for (const n of numbers(3)) await send(`early ${n}`);
    const { rows } = environment.table('tokens');
    const before = rows.length;
    // As if the last round of the ring had been saved
    await environment.commit((transaction) =>
      transaction.put(environment.table('store'), STORE_KEY, storeRow.seal({ format: 1, sequence: 16_384 })),
    );
    for (const n of numbers(3)) await send(`late ${n}`);
    expect(environment.table('tokens').rows).toHaveLength(before);
    await send('late 2');
    expect(await store.versions('a')).toHaveLength(6);
  });
});
