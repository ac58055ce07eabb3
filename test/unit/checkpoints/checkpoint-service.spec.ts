import { describe, expect, it, jest } from '@jest/globals';
import { CheckpointConflictError, CheckpointTooLargeError } from '../../../lib/errors/checkpoint.errors.js';
import { StorageFault } from '../../../lib/storage/environment.js';
import { checkpointsInMemory } from '../../support/checkpoints.js';
import { Gate } from '../../support/gate.js';

describe('CheckpointService', () => {
  it('gives back what was saved, as a fresh copy each time', async () => {
    const { service } = checkpointsInMemory();
    const saved = await service.cacheCheckpoint('flow_step5', { done: ['a', 'b'], at: new Date(0) }, 'docs');
    expect(saved).toMatchObject({ id: 'flow_step5', version: 1, lane: 'docs', pinned: false });
    const first = await service.restoreCheckpoint<{ done: string[] }>('flow_step5');
    first?.done.push('c');
    expect(await service.restoreCheckpoint('flow_step5')).toEqual({ done: ['a', 'b'], at: new Date(0) });
  });

  it('finds nothing under an id that was never saved', async () => {
    const { service } = checkpointsInMemory();
    expect(await service.restoreCheckpoint('nothing')).toBeUndefined();
    expect(await service.getCheckpoint('nothing')).toBeUndefined();
    expect(await service.history('nothing')).toEqual([]);
    expect(await service.latest('nothing')).toBeUndefined();
    expect(await service.pin('nothing')).toBe(false);
    expect(await service.invalidateCheckpoint('nothing')).toBe(0);
  });

  it('takes the state as it is at the call', async () => {
    const { service } = checkpointsInMemory();
    const state = { step: 1 };
    const saving = service.cacheCheckpoint('id', state);
    state.step = 2;
    await saving;
    expect(await service.restoreCheckpoint('id')).toEqual({ step: 1 });
  });

  it('counts versions up and never uses one twice, not even after removal', async () => {
    const { service } = checkpointsInMemory();
    for (const step of [1, 2, 3]) await service.cacheCheckpoint('id', { step });
    expect(await service.invalidateCheckpoint('id', 3)).toBe(1);
    expect((await service.cacheCheckpoint('id', { step: 4 })).version).toBe(4);
    expect(await service.invalidateCheckpoint('id')).toBe(3);
    expect(await service.restoreCheckpoint('id')).toBeUndefined();
    expect((await service.cacheCheckpoint('id', { step: 5 }, { expectedVersion: 0 })).version).toBe(5);
    expect((await service.history('id')).map(({ version }) => version)).toEqual([5]);
  });

  it('keeps what was noted about a version', async () => {
    const { service, clock } = checkpointsInMemory();
    const options = {
      lane: 'heavy',
      workflow: 'w',
      step: 'render',
      metadata: { by: new Map([['a', 1]]) },
      ttl: '1h',
    } as const;
    const saved = await service.cacheCheckpoint('id', 1, options);
    const expiresAt = new Date(clock.now() + 3_600_000).toISOString();
    expect(saved).toMatchObject({
      lane: 'heavy',
      workflow: 'w',
      step: 'render',
      metadata: options.metadata,
      expiresAt,
    });
    expect(await service.getCheckpoint('id')).toEqual({ ...saved, state: 1 });
  });

  it('lets exactly one of many writers with the same expected version win', async () => {
    const { service } = checkpointsInMemory();
    await service.cacheCheckpoint('id', 'start');
    const writers = Array.from({ length: 20 }, (_, writer) =>
      service.cacheCheckpoint('id', writer, { expectedVersion: 1 }),
    );
    const settled = await Promise.allSettled(writers);
    const lost = settled.filter((one) => one.status === 'rejected').map(({ reason }) => reason as unknown);
    expect(lost).toHaveLength(19);
    expect(lost.every((error) => error instanceof CheckpointConflictError && error.currentVersion === 2)).toBe(true);
    expect(await service.restoreCheckpoint('id')).toBe(settled.findIndex(({ status }) => status === 'fulfilled'));
  });

  it('restores the newest that has not outlived its ttl, to the millisecond', async () => {
    const { service, clock } = checkpointsInMemory();
    await service.cacheCheckpoint('id', 'lasting');
    await service.cacheCheckpoint('id', 'short', { ttl: '10s' });
    await clock.advance('10s');
    expect(await service.restoreCheckpoint('id')).toBe('short');
    await clock.advance('1ms');
    expect(await service.restoreCheckpoint('id')).toBe('lasting');
    expect(await service.restoreCheckpoint('id', { version: 2 })).toBeUndefined();
    await expect(service.cacheCheckpoint('id', 'x', { expectedVersion: 2 })).rejects.toMatchObject({
      currentVersion: 1,
    });
  });

  it('does not restore what is older than maxAge', async () => {
    const { service, clock } = checkpointsInMemory();
    await service.cacheCheckpoint('id', 1);
    await clock.advance('1m');
    expect(await service.restoreCheckpoint('id', { maxAge: '1m' })).toBe(1);
    await clock.advance('1ms');
    expect(await service.restoreCheckpoint('id', { maxAge: 60 })).toBeUndefined();
  });

  it('splits large states, warns once per id, and refuses those beyond the limit', async () => {
    const warnings: string[] = [];
    const { service, store } = checkpointsInMemory({
      maxStateBytes: 20 * 1024 ** 2,
      warn: (text) => warnings.push(text),
    });
    const state = Buffer.alloc(19 * 1024 ** 2, 'abcdefg');
    await service.cacheCheckpoint('large', state);
    await service.cacheCheckpoint('large', state);
    const restored = await service.restoreCheckpoint<Uint8Array>('large');
    expect(restored !== undefined && state.equals(restored)).toBe(true);
    expect(warnings).toHaveLength(1);
    const tooLarge = service.cacheCheckpoint('huge', Buffer.alloc(21 * 1024 ** 2));
    await expect(tooLarge).rejects.toBeInstanceOf(CheckpointTooLargeError);
    expect(await store.versions('huge')).toEqual([]);
  });

  it.each([
    ['an empty id', '', {}, 'CHECKPOINT_INVALID'],
    ['an id of more than 1 KB', 'ä'.repeat(513), {}, 'CHECKPOINT_INVALID'],
    ['an unknown lane', 'id', { lane: 'nope' }, 'LANE_UNKNOWN'],
    ['a ttl of nothing', 'id', { ttl: 0 }, 'TTL_INVALID'],
    ['a negative ttl', 'id', { ttl: -1 }, 'TTL_INVALID'],
    ['an impossible version', 'id', { expectedVersion: -1 }, 'CHECKPOINT_INVALID'],
    ['a step that is no number', 'id', { step: Number.NaN }, 'CHECKPOINT_INVALID'],
    ['too much metadata', 'id', { metadata: { text: 'x'.repeat(70_000) } }, 'CHECKPOINT_INVALID'],
    ['metadata that cannot be stored', 'id', { metadata: { fn: () => 1 } }, 'CHECKPOINT_UNSTORABLE'],
  ])('refuses %s', async (_, id, options, code) => {
    const { service } = checkpointsInMemory();
    await expect(service.cacheCheckpoint(id, 1, options)).rejects.toMatchObject({ code });
    expect((await service.list()).items).toEqual([]);
  });

  it('refuses loudly what cannot be stored', async () => {
    const { service } = checkpointsInMemory();
    await expect(service.cacheCheckpoint('id', { fn: () => 1 })).rejects.toMatchObject({
      code: 'CHECKPOINT_UNSTORABLE',
    });
    await expect(service.cacheCheckpoint('id', undefined)).rejects.toMatchObject({ code: 'CHECKPOINT_UNSTORABLE' });
  });

  it('reports the cause and the remedy when the disk refuses, and continues when it recovers', async () => {
    const { service, environment, events } = checkpointsInMemory();
    environment.failNext = new StorageFault('disk-full', 'writing to /nowhere');
    await expect(service.cacheCheckpoint('id', 1)).rejects.toMatchObject({ code: 'CHECKPOINTS_UNAVAILABLE' });
    expect(await service.getCheckpointCacheStatus()).toMatchObject({ state: 'off', reason: 'disk-full' });
    expect((await service.cacheCheckpoint('id', 2)).version).toBe(1);
    expect(await service.getCheckpointCacheStatus()).toMatchObject({ state: 'on', versions: 1 });
    expect(events.of('tier').map(({ state }) => state)).toEqual(['off', 'on']);
  });

  it('uses no version twice where an abandoned save is stored after all', async () => {
    const { service, environment } = checkpointsInMemory();
    const gate = new Gate();
    const commit = environment.commit.bind(environment);
    environment.beforeCommit = () => gate.whenOpen;
    jest.spyOn(environment, 'commit').mockImplementationOnce((fill) => {
      void commit(fill);
      return Promise.reject(new StorageFault('deadline', 'it took too long'));
    });
    await expect(service.cacheCheckpoint('id', 'late')).rejects.toMatchObject({ code: 'CHECKPOINTS_UNAVAILABLE' });
    const next = service.cacheCheckpoint('id', 'next');
    gate.open();
    expect((await next).version).toBe(2);
    expect(await service.restoreCheckpoint('id', { version: 1 })).toBe('late');
    expect(await service.restoreCheckpoint('id')).toBe('next');
  });

  it('after closing finds nothing and takes nothing', async () => {
    const { service, store } = checkpointsInMemory();
    const saving = service.cacheCheckpoint('id', 1);
    const closing = store.close();
    expect((await saving).version).toBe(1);
    await closing;
    expect(await service.restoreCheckpoint('id')).toBeUndefined();
    expect(await service.list()).toEqual({ items: [] });
    await expect(service.cacheCheckpoint('id', 2)).rejects.toMatchObject({ code: 'CLOSED' });
    expect(await service.getCheckpointCacheStatus()).toMatchObject({ state: 'off', reason: 'closed' });
  });

  it('emits an event for each operation', async () => {
    const { service, events } = checkpointsInMemory();
    await service.cacheCheckpoint('id', 1);
    await service.restoreCheckpoint('id');
    await service.invalidateCheckpoint('id');
    expect(events.of('checkpoint')).toEqual(
      ['saved', 'restored', 'removed'].map((action) => ({ action, id: 'id', version: 1 })),
    );
  });
});
