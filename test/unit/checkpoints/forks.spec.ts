import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { LocalCheckpointStore } from '../../../lib/checkpoints/local/local-checkpoint-store.js';
import { ChecksummedRow, ReadFaults } from '../../../lib/checkpoints/local/checkpoint-tables.js';
import { labelsOfRecord } from '../../../lib/checkpoints/checkpoint-validation.js';
import { ValueCodec } from '../../../lib/entries/codec/value-codec.js';
import { roundsOf } from '../../support/fault-table.js';
import { checkpointsInMemory } from '../../support/checkpoints.js';

describe('a fork', () => {
  it('begins with the state of a version and names it as its parent, which stays as it is', async () => {
    const { service, clock } = checkpointsInMemory();
    const labels = { workflow: 'w', step: 4, metadata: { owner: 'me' }, lane: 'heavy', ttl: '1d' } as const;
    await service.cacheCheckpoint('a', { n: 1, at: new Date(0) }, labels);
    await service.cacheCheckpoint('a', { n: 2 }, labels);
    await service.pin('a', 1);
    const before = await service.history('a');
    await clock.advance('1h');
    const info = await service.fork('a', 'b', { version: 1 });
    expect(info).toMatchObject({ id: 'b', version: 1, parent: { id: 'a', version: 1 }, lane: 'heavy', step: 4 });
    expect(info).toMatchObject({ metadata: { owner: 'me' }, pinned: false });
    expect(info).not.toHaveProperty('workflow');
    expect(info).not.toHaveProperty('expiresAt');
    expect(await service.restoreCheckpoint('b')).toEqual({ n: 1, at: new Date(0) });
    expect(await service.history('a')).toEqual(before);
    expect((await service.fork('a', 'c', { workflow: 'x', lane: 'docs' })).parent?.version).toBe(2);
    expect((await service.latest('x'))?.lane).toBe('docs');
    expect((await service.list({ metadata: { owner: 'me' } })).items.map(({ id }) => id)).toContain('b');
  });

  it('refuses an id that is there, a parent that is not, and a damaged one', async () => {
    const { service, clock, environment } = checkpointsInMemory();
    await service.cacheCheckpoint('a', 1);
    await service.cacheCheckpoint('b', 1, { ttl: '1h' });
    await expect(service.fork('a', 'b')).rejects.toMatchObject({ code: 'CHECKPOINT_CONFLICT', currentVersion: 1 });
    await expect(service.fork('a', 'a')).rejects.toMatchObject({ code: 'CHECKPOINT_CONFLICT' });
    await expect(service.fork('none', 'c')).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID', field: 'from' });
    await expect(service.fork('a', 'c', { version: 2 })).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' });
    await expect(service.fork('a', 'c', { lane: 'none' })).rejects.toMatchObject({ code: 'LANE_UNKNOWN' });
    await clock.advance('2h');
    expect(await service.fork('a', 'b')).toMatchObject({ version: 2 });
    const states = environment.table('states');
    for (const { key } of [...states.range()])
      await environment.commit((transaction) => transaction.put(states, key, Uint8Array.of(7)));
    await expect(service.fork('a', 'd')).rejects.toMatchObject({ code: 'CHECKPOINT_DAMAGED' });
  });

  it('never changes its parent, whatever is saved in it', async () => {
    const property = fc.asyncProperty(fc.array(fc.jsonValue(), { minLength: 1, maxLength: 6 }), async (states) => {
      const { service } = checkpointsInMemory({ retention: { keepVersions: 2 } });
      await service.cacheCheckpoint('parent', states, { workflow: 'w' });
      const before = [await service.history('parent'), await service.restoreCheckpoint('parent')];
      await service.fork('parent', 'fork', { workflow: 'forked' });
      for (const state of states) await service.cacheCheckpoint('fork', state, { workflow: 'forked' });
      await service.invalidateWorkflow('forked');
      expect([await service.history('parent'), await service.restoreCheckpoint('parent')]).toEqual(before);
    });
    await expect(fc.assert(property, { numRuns: roundsOf(20, 200) })).resolves.toBeUndefined();
  });
});

describe('the history of a workflow', () => {
  it('has the versions of all its ids, newest first', async () => {
    const { service } = checkpointsInMemory({ savedBy: 'host:7' });
    for (const id of ['a', 'b', 'a']) await service.cacheCheckpoint(id, 1, { workflow: 'w' });
    await service.cacheCheckpoint('c', 1, { workflow: 'other' });
    const timeline = await service.history({ workflow: 'w' });
    expect(timeline.map(({ id, version, savedBy }) => [id, version, savedBy])).toEqual([
      ['a', 2, 'host:7'],
      ['b', 1, 'host:7'],
      ['a', 1, 'host:7'],
    ]);
    expect(await service.history({ workflow: 'w' }, { limit: 1 })).toHaveLength(1);
    expect(await service.history({ workflow: 'none' })).toEqual([]);
    await expect(service.history({ workflows: 'w' } as never)).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
  });
});

describe('a listing by metadata', () => {
  const ids = (items: readonly { readonly id: string }[]): string => items.map(({ id }) => id).join('');

  it('finds equal texts, numbers and booleans, and distinguishes their types', async () => {
    const { service } = checkpointsInMemory();
    await service.cacheCheckpoint('a', 1, { metadata: { n: 1, on: true, name: 'x' } });
    await service.cacheCheckpoint('b', 1, { metadata: { n: '1', on: 'true', name: 'x', list: [1], none: null } });
    await service.cacheCheckpoint('c', 1, { metadata: { n: -0 } });
    const find = async (metadata: Record<string, string | number | boolean>): Promise<string> =>
      ids((await service.list({ metadata })).items);
    expect(await find({ n: 1 })).toBe('a');
    expect(await find({ n: '1' })).toBe('b');
    expect(await find({ n: 0 })).toBe('c');
    expect(await find({ on: true })).toBe('a');
    expect(await find({ name: 'x' })).toBe('ba');
    expect(await find({ name: 'x', on: 'true' })).toBe('b');
    expect(await find({ name: 'y' })).toBe('');
    const found: string[] = [];
    for await (const { id } of service.iterate({ metadata: { name: 'x' }, lane: 'standard' })) found.push(id);
    expect(found).toEqual(['b', 'a']);
  });

  it('takes at most 32 names, and nothing but scalars', async () => {
    const { service } = checkpointsInMemory();
    const many = (count: number): Record<string, number> =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`name ${n}`, n]));
    await service.cacheCheckpoint('a', 1, { metadata: { ...many(32), more: many(5_000) } });
    expect((await service.list({ metadata: many(32) })).items).toHaveLength(1);
    const refused = { code: 'CHECKPOINT_INVALID' };
    await expect(service.cacheCheckpoint('a', 1, { metadata: many(33) })).rejects.toMatchObject(refused);
    for (const metadata of [many(33), {}, { a: null }, { a: [1] }, { a: Number.NaN }, { a: 1n }, 'text', [1]]) {
      await expect(service.list({ metadata } as never)).rejects.toMatchObject(refused);
    }
  });

  it('reads about as many rows as it finds, however many versions there are', async () => {
    const { service, environment } = checkpointsInMemory();
    const save = (n: number): Promise<unknown> =>
      service.cacheCheckpoint(`${n}`, n, { metadata: { all: true, rare: n % 150 === 7, nth: n } });
    for (let n = 0; n < 600; n += 100) await Promise.all(Array.from({ length: 100 }, (_, more) => save(n + more)));
    const reads = async (metadata: Record<string, number | boolean>): Promise<number> => {
      const before = environment.reads;
      await service.list({ metadata });
      return environment.reads - before;
    };
    expect(await reads({ nth: 234 })).toBeLessThan(10);
    expect(await reads({ all: true, rare: true })).toBeLessThan(200);
    expect(await reads({ rare: true, all: true, nth: 7 })).toBeLessThan(100);
  });

  it('finds versions that an earlier release saved, which are indexed at the first such listing', async () => {
    const codec = new ValueCodec();
    const { environment, clock, events, store } = checkpointsInMemory();
    const encoded = (metadata: object): string => {
      const value = codec.encode(metadata);
      return value.storable ? Buffer.from(value.bytes).toString('base64') : '';
    };
    for (let n = 0; n < 200; n += 1) {
      const draft = { id: `${n}`, lane: 'docs', savedAt: clock.now() + n, sizeBytes: 1, checksum: 'x' };
      await store.save({ ...draft, metadata: encoded({ odd: n % 2 === 1 }) }, Uint8Array.of(1));
    }
    // An earlier release writes neither labels nor how far they reach.
    const rows = environment.table('store');
    const sealed = [...rows.range()].map(({ key, value }) => ({ key, value: withoutLabelled(value) }));
    for (const { key, value } of sealed) await environment.commit((transaction) => transaction.put(rows, key, value));
    const labelsOf = (record: Parameters<typeof labelsOfRecord>[1]): readonly string[] => labelsOfRecord(codec, record);
    const reopened = new LocalCheckpointStore(environment, { clock, events, faults: new ReadFaults(), labelsOf });
    const { service } = checkpointsInMemory({ clock, events, codec, store: () => reopened });
    await service.cacheCheckpoint('new', 1, { metadata: { odd: true } });
    const found = (await service.list({ metadata: { odd: true }, limit: 1_000 })).items;
    expect(found).toHaveLength(101);
    const { commits } = environment;
    expect((await service.list({ metadata: { odd: false }, limit: 1_000 })).items).toHaveLength(100);
    expect(environment.commits).toBe(commits);
  });
});

/** The row of the store as releases without an index of metadata wrote it. */
function withoutLabelled(value: Uint8Array): Uint8Array {
  const row = new ChecksummedRow<Record<string, unknown>>();
  const { labelled: _, ...others } = row.open(value) ?? {};
  return row.seal(others);
}

describe('a state that its lane compresses', () => {
  const compressFrom = (lane: string): number | undefined => (lane === 'docs' ? 1_024 : undefined);

  it('is stored in fewer bytes, and restored as it was saved', async () => {
    const { service } = checkpointsInMemory({ compressFrom });
    const state = { rows: Array.from({ length: 20_000 }, (_, n) => ({ n, text: `row ${n}` })) };
    const info = await service.cacheCheckpoint('a', state, 'docs');
    expect(info.storedBytes).toBeLessThan(info.sizeBytes / 2);
    expect((await service.getCheckpointCacheStatus()).bytes).toBe(info.storedBytes);
    expect(await service.restoreCheckpoint('a')).toEqual(state);
    expect(await service.cacheCheckpoint('b', state, 'heavy')).not.toHaveProperty('storedBytes');
    expect(await service.cacheCheckpoint('c', { small: true }, 'docs')).not.toHaveProperty('storedBytes');
    expect(await service.fork('a', 'd')).toMatchObject({ storedBytes: info.storedBytes, sizeBytes: info.sizeBytes });
    expect(await service.restoreCheckpoint('d')).toEqual(state);
  });

  it('keeps its place among the writes of its caller', async () => {
    const { service } = checkpointsInMemory({ compressFrom });
    const large = 'x'.repeat(300_000);
    const calls = [
      service.cacheCheckpoint('a', large, 'docs'),
      service.cacheCheckpoint('a', 'small', 'heavy'),
      service.pin('a'),
      service.invalidateCheckpoint('a', 1),
      service.cacheCheckpoint('a', large, 'docs'),
    ];
    expect(await Promise.all(calls)).toMatchObject([{ version: 1 }, { version: 2 }, true, 1, { version: 3 }]);
    expect(await service.restoreCheckpoint('a', { version: 2 })).toBe('small');
  });

  it('that is damaged is reported, whatever it expands to', async () => {
    const { service, environment } = checkpointsInMemory({ compressFrom });
    await service.cacheCheckpoint('a', 'x'.repeat(50_000), 'docs');
    const states = environment.table('states');
    for (const { key, value } of [...states.range()]) {
      const damaged = Buffer.from(value);
      damaged.writeUInt8(damaged.readUInt8(damaged.length - 3) ^ 1, damaged.length - 3);
      await environment.commit((transaction) => transaction.put(states, key, damaged));
    }
    await expect(service.restoreCheckpoint('a')).rejects.toMatchObject({ code: 'CHECKPOINT_DAMAGED' });
  });
});
