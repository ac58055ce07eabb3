import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isLaneCacheError } from '../../lib/errors/lane-cache.error.js';
import { checkpointsInMemory } from '../support/checkpoints.js';
import type { CheckpointBench } from '../support/checkpoints.js';

interface Version {
  readonly version: number;
  readonly state: unknown;
  readonly lane: string;
  readonly savedAt: number;
  readonly expiresAt: number;
  pinned: boolean;
}

/** What the promises say, over a plain map. */
class Model {
  private readonly versions = new Map<string, Version[]>();
  private readonly counters = new Map<string, number>();
  readonly order: { readonly id: string; readonly version: number }[] = [];

  of(id: string): readonly Version[] {
    return this.versions.get(id) ?? [];
  }

  get ids(): readonly string[] {
    return [...this.versions.keys()].filter((id) => this.of(id).length > 0);
  }

  current(id: string, now: number): Version | undefined {
    return this.of(id).findLast(({ expiresAt }) => now <= expiresAt);
  }

  save(id: string, version: Omit<Version, 'version' | 'pinned'>): number {
    const number = (this.counters.get(id) ?? 0) + 1;
    this.counters.set(id, number);
    this.versions.set(id, [...this.of(id), { ...version, version: number, pinned: false }]);
    this.order.push({ id, version: number });
    return number;
  }

  keep(id: string, wanted: (version: Version) => boolean): number {
    const before = this.of(id);
    this.versions.set(id, before.filter(wanted));
    return before.length - this.of(id).length;
  }

  cleanup(now: number, days: number, keepLast: number): number {
    const isDue = (id: string, one: Version): boolean => {
      if (one.pinned) return false;
      if (now > one.expiresAt) return true;
      const newer = this.of(id).filter(({ version, expiresAt }) => version > one.version && now <= expiresAt);
      return now - one.savedAt > days * 86_400_000 && newer.length >= keepLast;
    };
    const due = this.ids.map((id) => [id, new Set(this.of(id).filter((one) => isDue(id, one)))] as const);
    return due.map(([id, gone]) => this.keep(id, (one) => !gone.has(one))).reduce((a, b) => a + b, 0);
  }
}

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
    const saved = await service.cacheCheckpoint(name, state, options).catch((error: unknown) => error);
    if (expected !== undefined && expected !== current) {
      expect(isLaneCacheError(saved, 'CHECKPOINT_CONFLICT') && saved).toMatchObject({ currentVersion: current });
      return;
    }
    const expiresAt = ttlS === undefined ? Infinity : now + ttlS * 1_000;
    expect(saved).toMatchObject({ version: model.save(name, { state, lane: label, savedAt: now, expiresAt }) });
  });

const remove = (name: string, version: number | undefined) =>
  command(`remove(${JSON.stringify([name, version])})`, async (model, { service }) => {
    const gone = model.keep(name, (one) => version !== undefined && one.version !== version);
    expect(await service.invalidateCheckpoint(name, version)).toBe(gone);
  });

const pin = (name: string, version: number | undefined) =>
  command(`pin(${JSON.stringify([name, version])})`, async (model, { service }) => {
    const chosen =
      version === undefined ? model.of(name).at(-1) : model.of(name).find((one) => one.version === version);
    if (chosen !== undefined) chosen.pinned = true;
    expect(await service.pin(name, version)).toBe(chosen !== undefined);
  });

const unpin = (name: string, version: number | undefined) =>
  command(`unpin(${JSON.stringify([name, version])})`, async (model, { service }) => {
    const chosen = model.of(name).filter((one) => version === undefined || one.version === version);
    for (const one of chosen) one.pinned = false;
    expect(await service.unpin(name, version)).toBe(chosen.length > 0);
  });

const cleanup = (days: number, keepLast: number) =>
  command(`cleanup(${days}, ${keepLast})`, async (model, { service, clock }) => {
    const dry = await service.cleanupOldCheckpoints({ maxAgeDays: days, keepLast, dryRun: true });
    const wet = await service.cleanupOldCheckpoints({ maxAgeDays: days, keepLast });
    expect(wet.removed).toBe(model.cleanup(clock.now(), days, keepLast));
    expect(dry).toMatchObject({ removed: wet.removed, bytes: wet.bytes, pinnedKept: wet.pinnedKept });
  });

const advance = (seconds: number) =>
  command(`advance(${seconds})`, async (_, { clock }) => {
    await clock.advance(seconds);
  });

const compare = command('compare', async (model, { service, clock }) => {
  const now = clock.now();
  for (const name of IDS) {
    expect(await service.restoreCheckpoint(name)).toEqual(model.current(name, now)?.state);
    const history = (await service.history(name)).map(({ version, pinned }) => ({ version, pinned }));
    expect(history).toEqual(
      model
        .of(name)
        .map(({ version, pinned }) => ({ version, pinned }))
        .toReversed(),
    );
  }
  const listed = (await service.list({ limit: 1_000 })).items.map(({ id: name, version }) => ({ id: name, version }));
  const isThere = (one: { id: string; version: number }) =>
    model.of(one.id).some(({ version }) => version === one.version);
  expect(listed).toEqual(model.order.filter(isThere).toReversed());
  const status = await service.getCheckpointCacheStatus();
  expect(status.versions).toBe(listed.length);
  expect(status.cachedCheckpoints).toBe(IDS.filter((name) => model.current(name, now) !== undefined).length);
  const lanes = Object.entries(status.lanes).map(([name, { versions }]) => [name, versions] as const);
  expect(lanes.reduce((sum, [, versions]) => sum + versions, 0)).toBe(listed.length);
});

const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

const commands = fc.commands(
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

describe('checkpoints, whatever is done to them', () => {
  it('are those that the promises name', async () => {
    await fc.assert(
      fc.asyncProperty(commands, async (all) => {
        await fc.asyncModelRun(() => ({ model: new Model(), real: checkpointsInMemory() }), [...all, compare]);
      }),
      { numRuns: 150 },
    );
  });

  it('are kept apart by any id of up to 1 KB, and nothing else is an id', async () => {
    const anyId = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.string({ unit: fc.nat(0xffff).map((code) => String.fromCharCode(code)), maxLength: 400 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(anyId, { maxLength: 8 }), async (ids) => {
        const { service } = checkpointsInMemory();
        const isValid = (name: string) => name !== '' && Buffer.byteLength(name) <= 1_024;
        for (const [index, name] of ids.entries()) {
          const saved = await service.cacheCheckpoint(name, index).catch((error: unknown) => error);
          expect(isLaneCacheError(saved, 'CHECKPOINT_INVALID')).toBe(!isValid(name));
        }
        for (const [index, name] of ids.entries()) {
          if (isValid(name)) expect(await service.getCheckpoint(name)).toMatchObject({ id: name, state: index });
        }
      }),
    );
  });
});
