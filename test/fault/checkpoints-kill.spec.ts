import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { CheckpointService } from '../../lib/checkpoints/checkpoint-service.js';
import { checkpointsOver } from '../support/checkpoints.js';
import { Workshop } from '../support/child-process.js';
import { StorageBench } from '../support/storage.js';

const ROUNDS = Number(process.env['LANE_CACHE_ROUNDS'] ?? 4);

/** What worker `worker` saves as its `n`-th state: some small, some over several pages, now and then one in two parts. */
const stateOf = (round: number, worker: number, n: number): Buffer =>
  Buffer.alloc(n % 50 === 20 ? 9 * 1024 ** 2 : 20 + ((n * 7919) % 40_000), `${round} ${worker} ${n};`);

/** Saves without pause in four workflows, cleans up meanwhile, and says what was acknowledged. */
const WRITER = `
import { CheckpointService } from './lib/checkpoints/checkpoint-service.js';
import { LocalCheckpointStore } from './lib/checkpoints/local/local-checkpoint-store.js';
import { ReadFaults } from './lib/checkpoints/local/checkpoint-tables.js';
import { systemClock } from './lib/clock/clock.js';
import { ValueCodec } from './lib/entries/codec/value-codec.js';
import { openEnvironment } from './lib/storage/lmdb/open-environment.js';
const stateOf = ${stateOf.toString()};
const [directory, round] = process.argv.slice(2);
const report = { fault() {}, quarantined: (_from, _to, cause) => console.log('quarantined ' + cause) };
const environment = await openEnvironment({ directory, durability: 'durable', clock: systemClock, minFreeBytes: 0, report, onMarkerLeft: 'probe' });
const events = { wants: () => false, emit() {} };
const store = new LocalCheckpointStore(environment, { clock: systemClock, events, faults: new ReadFaults() });
const service = new CheckpointService({ store: () => store, codec: new ValueCodec(), clock: systemClock, events, lanes: ['standard'], defaultLane: 'standard' });
const work = async (worker) => {
  for (let n = 0; ; n++) {
    const { version } = await service.cacheCheckpoint('flow ' + round + ' ' + worker, stateOf(Number(round), worker, n), { workflow: 'kept' });
    process.stdout.write([worker, n, version].join(' ') + '\\n');
  }
};
const tidy = async () => {
  for (;;) {
    await service.cacheCheckpoint('scratch', Buffer.alloc(3_000), { workflow: 'scratch' });
    await service.cleanupOldCheckpoints({ maxAgeDays: 0, keepLast: 2, workflow: 'scratch' });
  }
};
await Promise.all([work(0), work(1), work(2), work(3), tidy()]);
`;

const count = async (service: CheckpointService): Promise<number> => {
  let versions = 0;
  for await (const { version } of service.iterate()) versions += Math.sign(version);
  return versions;
};

describe('a workflow that is killed', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  it(
    `finds every acknowledged checkpoint byte for byte (${ROUNDS} rounds)`,
    async () => {
      const path = await bench.path('checkpoints');
      for (let round = 0; round < ROUNDS; round += 1) {
        const child = await workshop.run(WRITER, [path, String(round)]);
        const acknowledged: string[] = [];
        while (acknowledged.length < 20 + ((round * 7919) % 180)) acknowledged.push(await child.line());
        acknowledged.push(...(await child.end('SIGKILL')).lines);

        const options = { durability: 'durable', onMarkerLeft: 'probe' } as const;
        const { environment, report } = await bench.environment(path, options);
        const { service } = checkpointsOver(environment);
        for (const line of acknowledged) {
          const [worker = 0, n = 0, version = 0] = line.split(' ').map(Number);
          const restored = await service.restoreCheckpoint<Buffer>(`flow ${round} ${worker}`, { version });
          expect([line, restored !== undefined && stateOf(round, worker, n).equals(restored)]).toEqual([line, true]);
        }
        expect((await service.getCheckpointCacheStatus()).versions).toBe(await count(service));
        await service.invalidateCheckpoint(`flow ${round} 0`);
        expect((await service.cacheCheckpoint('after', round)).version).toBe(round + 1);
        expect(report).toEqual({ faults: [], quarantines: [] });
        await environment.close();
      }
    },
    60_000 + ROUNDS * 10_000,
  );
});
