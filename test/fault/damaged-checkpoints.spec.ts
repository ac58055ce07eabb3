import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { cp, open } from 'node:fs/promises';
import { join } from 'node:path';
import { checkpointsOver } from '../support/checkpoints.js';
import { Workshop } from '../support/child-process.js';
import { StorageBench } from '../support/storage.js';

const IDS = 60;
const PAGE = 4096;

const stateOf = (id: number, version: number): Buffer =>
  Buffer.alloc(id % 10 === 0 ? 30_000 : 500 + id * 37, `${id} ${version};`);

/** Restores every id, each with and without `fallback`, and prints what came of it. */
const READER = `
import { CheckpointService } from './lib/checkpoints/checkpoint-service.js';
import { LocalCheckpointStore } from './lib/checkpoints/local/local-checkpoint-store.js';
import { ReadFaults } from './lib/checkpoints/local/checkpoint-tables.js';
import { systemClock } from './lib/clock/clock.js';
import { ValueCodec } from './lib/entries/codec/value-codec.js';
import { openEnvironment } from './lib/storage/lmdb/open-environment.js';
const stateOf = ${stateOf.toString()};
const [directory] = process.argv.slice(2);
const faults = new ReadFaults();
const report = { fault: (...fault) => faults.note(...fault), quarantined: () => console.log('quarantined') };
const environment = await openEnvironment({ directory, durability: 'durable', clock: systemClock, minFreeBytes: 0, report, onMarkerLeft: 'probe' });
const events = { wants: () => false, emit() {} };
const store = new LocalCheckpointStore(environment, { clock: systemClock, events, faults });
const service = new CheckpointService({ store: () => store, codec: new ValueCodec(), clock: systemClock, events, lanes: ['standard'], defaultLane: 'standard' });
const look = async (id, options) => {
  try {
    const state = await service.restoreCheckpoint('id ' + id, options);
    if (state === undefined) return 'nothing';
    return ['wrong', 'version 1', 'version 2', 'version 3'][[1, 2, 3].find((version) => stateOf(id, version).equals(state)) ?? 0];
  } catch (error) {
    for (const version of error.soundVersions ?? []) {
      const state = await service.restoreCheckpoint('id ' + id, { version });
      if (!stateOf(id, version).equals(state)) return 'named as sound, but wrong';
    }
    return error.code ?? String(error);
  }
};
for (let id = 0; id < ${IDS}; id++) console.log('newest: ' + (await look(id, {})) + '; fallback: ' + (await look(id, { fallback: true })));
await store.close();
`;

/** A row of numbers in [0, 1) that is the same every time. */
const numbers = (seed: number) => (): number => {
  seed = (seed * 48_271) % 2_147_483_647;
  return seed / 2_147_483_647;
};

interface Damage {
  readonly what: string;
  readonly places: number;
  /** Of all rounds. Pages may all be hit where nothing lies. */
  readonly fewestErrors: number;
  readonly bytes: (before: number, draw: () => number) => Buffer;
}

const DAMAGES: readonly Damage[] = [
  {
    what: 'single bits',
    places: 100,
    fewestErrors: 1,
    bytes: (before, draw) => Buffer.of(before ^ (1 << Math.floor(draw() * 8))),
  },
  { what: 'pages of zeros', places: 3, fewestErrors: 0, bytes: () => Buffer.alloc(PAGE) },
  {
    what: 'pages of noise',
    places: 3,
    fewestErrors: 0,
    bytes: (_, draw) => Buffer.from(Array.from({ length: PAGE }, () => Math.floor(draw() * 256))),
  },
];

const damage = async (path: string, { places, bytes }: Damage, draw: () => number): Promise<void> => {
  const file = await open(path, 'r+');
  const { size } = await file.stat();
  for (let n = 0; n < places; n += 1) {
    const page = PAGE * (2 + Math.floor(draw() * (size / PAGE - 2)));
    const at = page + (bytes(0, draw).length === 1 ? Math.floor(draw() * PAGE) : 0);
    const before = Buffer.alloc(1);
    await file.read(before, 0, 1, at);
    const after = bytes(before.readUInt8(), draw);
    await file.write(after, 0, after.length, at);
  }
  await file.close();
};

describe('checkpoints in a data file that was damaged', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  const pristine = new StorageBench();
  let full: string;
  beforeAll(async () => {
    workshop = await Workshop.build();
    full = await pristine.path('checkpoints');
    const { environment } = await pristine.environment(full, { durability: 'durable', onMarkerLeft: 'probe' });
    const { service, store } = checkpointsOver(environment);
    for (const version of [1, 2, 3]) {
      const saves = Array.from({ length: IDS }, (_, id) => service.cacheCheckpoint(`id ${id}`, stateOf(id, version)));
      await Promise.all(saves);
    }
    await store.close();
  });
  afterAll(async () => {
    await workshop.dispose();
    await pristine.dispose();
  });
  afterEach(() => bench.dispose());

  const filled = async (): Promise<string> => {
    const path = await bench.path('checkpoints');
    await cp(full, path, { recursive: true, preserveTimestamps: true });
    return path;
  };

  it.each(DAMAGES)(
    'restore as they were saved or fail with an error, or are set aside as a whole, never as something else ($what)',
    async (how) => {
      /** How many errors a reader of the damaged file has met. */
      const errorsOf = async (seed: number): Promise<number> => {
        const path = await filled();
        await damage(join(path, 'data.mdb'), how, numbers(seed * 7_919));
        // LMDB may end the process over pages that lie; what it said before must be right all the same
        const { lines: printed, status } = await (await workshop.run(READER, [path])).end();
        // a file that would end the process is set aside as a whole, and says so
        if (printed[0] === 'quarantined') {
          expect(new Set(printed.slice(1))).toEqual(new Set(['newest: nothing; fallback: nothing']));
          return 1;
        }
        const allowed =
          /^newest: ((version 3|CHECKPOINTS_UNAVAILABLE); fallback: (version [123]|CHECKPOINTS_UNAVAILABLE)|CHECKPOINT_DAMAGED; fallback: (version [12]|nothing|CHECKPOINTS_UNAVAILABLE))$/;
        expect(printed.filter((line) => !allowed.test(line))).toEqual([]);
        expect(printed.length === IDS || typeof status === 'string').toBe(true);
        return printed.filter((line) => line.includes('CHECKPOINT')).length;
      };
      const errors = await Promise.all([1, 2, 3, 4].map(errorsOf));
      expect(errors.reduce((sum, one) => sum + one, 0)).toBeGreaterThanOrEqual(how.fewestErrors);
    },
    60_000,
  );
});
