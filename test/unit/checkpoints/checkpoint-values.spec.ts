import { Readable } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { ValueCodec } from '../../../lib/entries/codec/value-codec.js';
import { checkpointsInMemory } from '../../support/checkpoints.js';
import { differences } from '../../support/same-kinds.js';
import { anyStorable } from '../../support/storable-values.js';

const MB = 1024 ** 2;
/** What a state of bytes takes beyond the bytes. */
const WRAPPING = 64;

class Money {
  constructor(
    readonly amount: number,
    readonly currency: string,
  ) {}

  get text(): string {
    return `${this.amount} ${this.currency}`;
  }
}

describe('a state', () => {
  it('comes back equal in value and type', async () => {
    const property = fc.asyncProperty(anyStorable(), async (value) => {
      fc.pre(value !== undefined);
      const { service } = checkpointsInMemory();
      await service.cacheCheckpoint('id', value, { metadata: { value } });
      expect(differences(await service.restoreCheckpoint('id'), value)).toEqual([]);
      expect(differences((await service.history('id'))[0]?.metadata, { value })).toEqual([]);
    });
    await expect(fc.assert(property)).resolves.toBeUndefined();
  });

  it('keeps the classes the app lists, as a new copy on each read', async () => {
    const { service } = checkpointsInMemory({ codec: new ValueCodec([Money]) });
    await service.cacheCheckpoint('id', new Map([['total', new Money(5, 'EUR')]]));
    const first = await service.restoreCheckpoint<Map<string, Money>>('id');
    const second = await service.restoreCheckpoint<Map<string, Money>>('id');
    expect(first?.get('total')?.text).toBe('5 EUR');
    expect(first?.get('total')).toBeInstanceOf(Money);
    expect(second?.get('total')).not.toBe(first?.get('total'));
  });

  it.each([
    ['a function', { run: () => 1 }],
    ['a symbol', { kind: Symbol('kind') }],
    ['a stream', { input: Readable.from([]) }],
    ['a promise', { later: Promise.resolve(1) }],
    ['a weak map', { known: new WeakMap() }],
    ['a class that is not listed', { total: new Money(5, 'EUR') }],
    ['nothing', undefined],
  ])('is refused with %s in it, and nothing is stored', async (_, state) => {
    const { service, store, environment } = checkpointsInMemory();
    await service.cacheCheckpoint('id', 'before');
    const { commits } = environment;
    await expect(service.cacheCheckpoint('id', state)).rejects.toMatchObject({
      code: 'CHECKPOINT_UNSTORABLE',
      message: expect.stringContaining("checkpoint 'id'"),
    });
    expect(environment.commits).toBe(commits);
    expect(await store.versions('id')).toEqual([1]);
    expect(await service.restoreCheckpoint('id')).toBe('before');
  });
});

describe('a large state', () => {
  it('takes up to 64 MB, in parts below 16 MiB that one transaction writes', async () => {
    const { service, environment } = checkpointsInMemory();
    const state = Buffer.alloc(64 * MB - WRAPPING, 'abcdefg');
    await service.cacheCheckpoint('large', state);
    expect(environment.commits).toBe(1);
    const parts = environment.table('states').rows.map(({ value }) => value.length);
    expect(parts).toHaveLength(8);
    expect(Math.max(...parts)).toBeLessThan(16 * MB);
    expect(state.equals((await service.restoreCheckpoint<Buffer>('large')) ?? Buffer.alloc(0))).toBe(true);
  });

  it('of 65 MB is refused, and nothing is stored', async () => {
    const { service, store, environment } = checkpointsInMemory();
    await expect(service.cacheCheckpoint('huge', Buffer.alloc(65 * MB))).rejects.toMatchObject({
      code: 'CHECKPOINT_TOO_LARGE',
      limitBytes: 64 * MB,
    });
    expect(environment.commits).toBe(0);
    expect(await store.versions('huge')).toEqual([]);
  });

  it('that waits behind others for the disk is warned of once', async () => {
    const warnings: string[] = [];
    const { service } = checkpointsInMemory({ warnStateBytes: 64 * MB, warn: (text) => warnings.push(text) });
    const state = Buffer.alloc(30 * MB);
    for (const id of ['a', 'b', 'c', 'd']) await service.cacheCheckpoint(id, state);
    expect(warnings).toEqual([]);
    await Promise.all(['a', 'b', 'c', 'd'].map((id) => service.cacheCheckpoint(id, state)));
    expect(warnings).toEqual([expect.stringContaining('Await each save')]);
  });

  it('is warned of from 1 MB on, once for each id', async () => {
    const warnings: string[] = [];
    const { service } = checkpointsInMemory({ warn: (text) => warnings.push(text) });
    await service.cacheCheckpoint('small', Buffer.alloc(MB - WRAPPING));
    expect(warnings).toEqual([]);
    for (const id of ['a', 'a', 'b']) await service.cacheCheckpoint(id, Buffer.alloc(MB));
    expect(warnings).toEqual([expect.stringContaining("'a'"), expect.stringContaining("'b'")]);
  });
});
