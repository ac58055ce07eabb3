import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from 'node:assert/strict';
import * as fc from 'fast-check';
import { CheckpointConflictError } from '../../lib/errors/checkpoint.errors.js';
import type { Model } from './checkpoint-model.js';
import type { CheckpointBench } from './checkpoints.js';

type Command = fc.AsyncCommand<Model, CheckpointBench>;

const command = (text: string, run: (model: Model, bench: CheckpointBench) => Promise<void>): Command => ({
  check: () => true,
  run,
  toString: () => text,
});

const IDS = ['a', '../../x', '\ud800', '__proto__', 'a\0'];
const id = fc.constantFrom(...IDS);
const lane = fc.constantFrom('docs', 'standard', 'heavy');
const anyVersion = fc.integer({ min: 1, max: 6 });

const save = (name: string, state: unknown, label: string, ttlS: number | undefined, expected: number | undefined) =>
  command(`save(${JSON.stringify([name, label, ttlS, expected])})`, async (model, { service, clock }) => {
    const now = clock.now();
    const current = model.current(name, now)?.version ?? 0;
    const options = {
      lane: label,
      ...(ttlS !== undefined && { ttl: ttlS }),
      ...(expected !== undefined && { expectedVersion: expected }),
    };
    const saved = await service.cacheCheckpoint(name, state, options).catch((error: Error) => error);
    if (expected !== undefined && expected !== current) {
      ok(saved instanceof CheckpointConflictError);
      equal(saved.currentVersion, current);
      return;
    }
    const expiresAt = ttlS === undefined ? Infinity : now + ttlS * 1_000;
    ok(!(saved instanceof Error));
    equal(saved.version, model.save(name, { state, lane: label, savedAt: now, expiresAt }));
  });

const remove = (name: string, version: number | undefined) =>
  command(`remove(${JSON.stringify([name, version])})`, async (model, { service }) => {
    const gone = model.keep(name, (one) => version !== undefined && one.version !== version);
    equal(await service.invalidateCheckpoint(name, version), gone);
  });

const pin = (name: string, version: number | undefined) =>
  command(`pin(${JSON.stringify([name, version])})`, async (model, { service }) => {
    const chosen =
      version === undefined ? model.of(name).at(-1) : model.of(name).find((one) => one.version === version);
    if (chosen !== undefined) chosen.pinned = true;
    equal(await service.pin(name, version), chosen !== undefined);
  });

const unpin = (name: string, version: number | undefined) =>
  command(`unpin(${JSON.stringify([name, version])})`, async (model, { service }) => {
    const chosen = model.of(name).filter((one) => version === undefined || one.version === version);
    for (const one of chosen) one.pinned = false;
    equal(await service.unpin(name, version), chosen.length > 0);
  });

const cleanup = (days: number, keepLast: number) =>
  command(`cleanup(${days}, ${keepLast})`, async (model, { service, clock }) => {
    const dry = await service.cleanupOldCheckpoints({ maxAgeDays: days, keepLast, dryRun: true });
    const wet = await service.cleanupOldCheckpoints({ maxAgeDays: days, keepLast });
    equal(wet.removed, model.cleanup(clock.now(), days, keepLast));
    const { checkpoints, ...counts } = dry;
    deepEqual(counts, { ...wet, dryRun: true });
    equal(checkpoints?.length, wet.removed);
  });

const advance = (seconds: number) =>
  command(`advance(${seconds})`, async (_, { clock }) => {
    await clock.advance(seconds);
  });

/** Looks at everything and compares it with the model. */
export const compare = command('compare', async (model, { service, clock }) => {
  const now = clock.now();
  for (const name of IDS) {
    deepEqual(await service.restoreCheckpoint(name), model.current(name, now)?.state);
    const history = (await service.history(name)).map(({ version, pinned }) => ({ version, pinned }));
    deepEqual(
      history,
      model
        .of(name)
        .map(({ version, pinned }) => ({ version, pinned }))
        .toReversed(),
    );
  }
  const listed = (await service.list({ limit: 1_000 })).items.map(({ id: name, version }) => ({ id: name, version }));
  const isThere = (one: { id: string; version: number }) =>
    model.of(one.id).some(({ version }) => version === one.version);
  deepEqual(listed, model.order.filter(isThere).toReversed());
  const status = await service.getCheckpointCacheStatus();
  equal(status.versions, listed.length);
  equal(status.cachedCheckpoints, IDS.filter((name) => model.current(name, now) !== undefined).length);
  const lanes = Object.entries(status.lanes).map(([name, { versions }]) => [name, versions] as const);
  equal(
    lanes.reduce((sum, [, versions]) => sum + versions, 0),
    listed.length,
  );
});

const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

/** Anything a caller may do, in any order. */
export const commands = fc.commands(
  [
    fc
      .tuple(id, fc.anything({ maxDepth: 1 }), lane, maybe(fc.integer({ min: 1, max: 100_000 })), maybe(fc.nat(3)))
      .filter(([, state]) => JSON.stringify(state) !== undefined)
      .map(([name, state, label, ttl, expected]) =>
        save(name, JSON.parse(JSON.stringify(state)), label, ttl, expected),
      ),
    fc.tuple(id, maybe(anyVersion)).map(([name, version]) => remove(name, version)),
    fc.tuple(id, maybe(anyVersion)).map(([name, version]) => pin(name, version)),
    fc.tuple(id, maybe(anyVersion)).map(([name, version]) => unpin(name, version)),
    fc.tuple(fc.nat(3), fc.nat(2)).map(([days, keepLast]) => cleanup(days, keepLast)),
    fc.integer({ min: 1, max: 86_400 }).map(advance),
    fc.constant(compare),
  ],
  { size: 'large', maxCommands: 60 },
);
