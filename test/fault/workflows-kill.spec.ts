import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { checkpointsOver } from '../support/checkpoints.js';
import { Workshop } from '../support/child-process.js';
import { roundsOf } from '../support/fault-table.js';
import { StorageBench } from '../support/storage.js';

const ROUNDS = roundsOf(3, 200);
const KEPT = 3;

/** Saves under `keepVersions` and `keepUnfinished`, finishes workflows, starts one over and cleans up, all at once. */
const WRITER = `
import { CheckpointService } from './lib/checkpoints/checkpoint-service.js';
import { LocalCheckpointStore } from './lib/checkpoints/local/local-checkpoint-store.js';
import { ReadFaults } from './lib/checkpoints/local/checkpoint-tables.js';
import { systemClock } from './lib/clock/clock.js';
import { ValueCodec } from './lib/entries/codec/value-codec.js';
import { openEnvironment } from './lib/storage/lmdb/open-environment.js';
const [directory, round] = process.argv.slice(2);
const report = { fault() {}, quarantined: (_from, _to, cause) => console.log('quarantined ' + cause) };
const environment = await openEnvironment({ directory, durability: 'durable', clock: systemClock, minFreeBytes: 0, report, onMarkerLeft: 'probe' });
const events = { wants: () => false, emit() {} };
const store = new LocalCheckpointStore(environment, { clock: systemClock, events, faults: new ReadFaults() });
const retention = { keepVersions: ${KEPT}, keepUnfinished: true, maxAgeDays: 0 };
const service = new CheckpointService({ store: () => store, codec: new ValueCodec(), clock: systemClock, events, lanes: ['standard'], defaultLane: 'standard', retention, compressFrom: () => 1_024 });
const say = (...words) => process.stdout.write(words.join(' ') + '\\n');
const save = async (worker) => {
  const workflow = 'flow ' + round + ' ' + worker;
  for (let n = 0; ; n++) {
    const { version } = await service.cacheCheckpoint('id ' + round + ' ' + worker, { n, text: 'x'.repeat((n * 7919) % 9_000) }, { workflow, metadata: { n } });
    say('saved', worker, n, version);
  }
};
const finish = async () => {
  for (let n = 0; ; n++) {
    const workflow = 'done ' + round + ' ' + n;
    await service.cacheCheckpoint('done ' + n, n, { workflow });
    say('finishing', n);
    await service.finish(workflow);
    say('finished', n);
  }
};
const clean = async () => {
  for (;;) await service.cleanupOldCheckpoints();
};
const startOver = async () => {
  for (let n = 0; ; n++) {
    await service.runStep('step ' + n, () => n, { workflow: 'again' });
    await service.invalidateWorkflow('again');
    say('invalidated', n);
  }
};
await Promise.all([save(0), save(1), save(2), finish(), clean(), startOver()]);
`;

describe('a workflow that is killed while retention is at work', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  it(
    `loses nothing that was acknowledged but what retention names (${ROUNDS} rounds)`,
    async () => {
      const path = await bench.path('checkpoints');
      for (let round = 0; round < ROUNDS; round += 1) {
        const child = await workshop.run(WRITER, [path, String(round)]);
        const lines: string[] = [];
        while (lines.length < 40 + ((round * 7919) % 200)) lines.push(await child.line());
        lines.push(...(await child.end('SIGKILL')).lines);

        const { environment, report } = await bench.environment(path, {
          durability: 'durable',
          onMarkerLeft: 'probe',
        } as const);
        const { service, store } = checkpointsOver(environment);
        const heard = lines.map((line) => line.split(' '));
        for (const worker of [0, 1, 2]) {
          const saved = heard.filter(([what, who]) => what === 'saved' && who === String(worker));
          const [, , n, version] = (saved.at(-1) ?? []).map(Number);
          if (n === undefined || version === undefined) continue;
          const versions = await store.versions(`id ${round} ${worker}`);
          // The newest of an unfinished workflow is there, or a later one whose answer did not arrive.
          const newest = versions[0] ?? 0;
          expect([newest >= version, versions.length <= KEPT]).toEqual([true, true]);
          const at = n + (newest - version);
          expect(await service.restoreCheckpoint(`id ${round} ${worker}`)).toEqual({
            n: at,
            text: 'x'.repeat((at * 7919) % 9_000),
          });
          expect((await service.cacheCheckpoint(`id ${round} ${worker}`, 0)).version).toBe(newest + 1);
          await service.invalidateWorkflow(`flow ${round} ${worker}`);
        }
        const invalidated = heard.filter(([what]) => what === 'invalidated').length;
        for (let n = 0; n < invalidated; n += 1) expect(await service.restoreCheckpoint(`step ${n}`)).toBeUndefined();
        let versions = 0;
        for await (const { version } of service.iterate()) versions += Math.sign(version);
        expect((await service.getCheckpointCacheStatus()).versions).toBe(versions);
        expect(report).toEqual({ faults: [], quarantines: [] });
        await environment.close();
      }
    },
    60_000 + ROUNDS * 10_000,
  );
});
