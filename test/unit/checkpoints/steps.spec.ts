import { describe, expect, it } from '@jest/globals';
import type { CheckpointService } from '../../../lib/checkpoints/checkpoint-service.js';
import type { CheckpointStore } from '../../../lib/checkpoints/checkpoint-store.js';
import { LEASE_MS, type LeaseAnswer, type LeaseRequest } from '../../../lib/checkpoints/leases.js';
import { LaneCacheError } from '../../../lib/errors/lane-cache.error.js';
import { checkpointsInMemory, settle, twoProcesses } from '../../support/checkpoints.js';
import { Deferred } from '../../support/deferred.js';

const versionsOf = async (service: CheckpointService, id: string): Promise<readonly number[]> =>
  (await service.history(id)).map(({ version }) => version);

describe('a step', () => {
  it('runs once, and is restored from then on, each time as a copy', async () => {
    const { service } = checkpointsInMemory();
    let runs = 0;
    const run = (): { n: number } => ({ n: ++runs });
    const first = await service.runStep('a', run);
    first.n = 99;
    const second = await service.runStep('a', run);
    second.n = 98;
    expect(await service.runStep('a', run)).toEqual({ n: 1 });
    expect(runs).toBe(1);
  });

  it('that throws, or gives undefined, saves nothing and runs again', async () => {
    const { service } = checkpointsInMemory();
    const failure = new Error('no');
    let runs = 0;
    const fail = (): never => {
      runs += 1;
      throw failure;
    };
    await expect(service.runStep('a', fail)).rejects.toBe(failure);
    await expect(service.runStep('a', fail)).rejects.toBe(failure);
    expect(await service.runStep('a', () => void (runs += 1))).toBeUndefined();
    expect(await service.runStep('a', () => void (runs += 1))).toBeUndefined();
    expect(runs).toBe(4);
    expect(await versionsOf(service, 'a')).toEqual([]);
  });

  it('that two processes run ends in both with the result that was saved first', async () => {
    const { service, other, events } = twoProcesses();
    const [slow, fast] = [new Deferred<string>(), new Deferred<string>()];
    const first = service.runStep('a', () => slow.promise);
    const second = other.runStep('a', () => fast.promise);
    await settle();
    fast.resolve('fast');
    expect(await second).toBe('fast');
    slow.resolve('slow');
    expect(await first).toBe('fast');
    expect(await versionsOf(service, 'a')).toEqual([1]);
    expect(events.of('step').map(({ action }) => action)).toEqual(['started', 'started', 'saved', 'adopted']);
  });

  it('replaces a result that is too old for it, once', async () => {
    const { service, other, clock } = twoProcesses();
    await service.runStep('a', () => 'old');
    await clock.advance('2h');
    const results = await Promise.all([
      service.runStep('a', () => 'one', { maxAge: '1h' }),
      other.runStep('a', () => 'two', { maxAge: '1h' }),
    ]);
    expect(new Set(results).size).toBe(1);
    expect(results[0]).not.toBe('old');
    expect(await versionsOf(service, 'a')).toEqual([2, 1]);
  });

  it('is offered again when the result in its way is gone', async () => {
    const { service, other } = twoProcesses();
    const gate = new Deferred<string>();
    const first = service.runStep('a', () => gate.promise);
    await settle();
    await other.cacheCheckpoint('a', 'in the way', { ttl: '1h' });
    await other.invalidateCheckpoint('a');
    gate.resolve('mine');
    expect(await first).toBe('mine');
    expect(await service.restoreCheckpoint('a')).toBe('mine');
  });

  it('that began before its workflow was invalidated cannot save, and its callers get the conflict', async () => {
    const { service, other, events } = twoProcesses();
    const gate = new Deferred<string>();
    const calls = [1, 2].map(() => service.runStep('a', () => gate.promise, { workflow: 'w' }));
    await settle();
    expect(await other.invalidateWorkflow('w')).toBe(0);
    gate.resolve('stale');
    const results = await Promise.allSettled(calls);
    for (const result of results)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'CHECKPOINT_CONFLICT' } });
    expect(await service.restoreCheckpoint('a')).toBeUndefined();
    expect(await service.runStep('a', () => 'anew', { workflow: 'w' })).toBe('anew');
    expect(events.of('workflow')).toEqual([{ action: 'invalidated', workflow: 'w', removed: 0 }]);
  });

  it('that fails for want of checkpoints of its own runs once, also where onUnavailable allows to run', async () => {
    const { service } = checkpointsInMemory();
    const failure = new LaneCacheError('CHECKPOINTS_UNAVAILABLE', 'Those of another app.');
    let runs = 0;
    const run = (): never => {
      runs += 1;
      throw failure;
    };
    await expect(service.runStep('a', run, { onUnavailable: 'run' })).rejects.toBe(failure);
    expect(runs).toBe(1);
  });

  it('that begins while a large workflow is being removed finds none of it, and its result stays', async () => {
    const { service, store } = checkpointsInMemory();
    const ids = Array.from({ length: 150 }, (_, n) => `${n}`);
    await Promise.all(ids.map((id) => service.cacheCheckpoint(id, 'old', { workflow: 'w' })));
    const { next } = await store.invalidateWorkflow('w');
    const [last = ''] = ids.slice(-1);
    expect(await versionsOf(service, last)).toEqual([]);
    expect(await service.restoreCheckpoint(last)).toBeUndefined();
    expect(await service.restoreCheckpoint(last, { version: 1 })).toBeUndefined();
    expect(await service.latest('w')).toBeUndefined();
    expect(await service.runStep(last, () => 'new', { workflow: 'w' })).toBe('new');
    for (let upTo = next; upTo !== undefined;) upTo = (await store.invalidateWorkflow('w', upTo)).next;
    expect((await service.list({ workflow: 'w' })).items.map(({ id, version }) => [id, version])).toEqual([[last, 2]]);
  });

  it('that waits for itself, also through another, gets REENTRANT', async () => {
    const { service } = checkpointsInMemory();
    const reentrant = { code: 'REENTRANT' };
    await expect(service.runStep('a', () => service.runStep('a', () => 1))).rejects.toMatchObject(reentrant);
    const nested = service.runStep('a', () => service.runStep('b', () => service.runStep('a', () => 1)));
    await expect(nested).rejects.toMatchObject(reentrant);
    const [toB, toA] = [new Deferred<void>(), new Deferred<void>()];
    const first = service.runStep('a', () => toB.promise.then(() => service.runStep('b', () => 1)));
    const second = service.runStep('b', () => toA.promise.then(() => service.runStep('a', () => 2)));
    await settle();
    toB.resolve();
    toA.resolve();
    const ends = await Promise.allSettled([first, second]);
    expect(ends.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await service.runStep('a', () => service.runStep('c', () => 3))).toBe(3);
  });

  it('emits what it does as events with its workflow, its step and its duration', async () => {
    const { service, clock, events } = checkpointsInMemory();
    const options = { workflow: 'w', step: 2 };
    await service.runStep(
      'a',
      async () => {
        await clock.advance('250ms');
        return 'x';
      },
      options,
    );
    await service.runStep('a', () => 'y', options);
    await service.runStep('b', () => Promise.reject(new Error('no')), options).catch(() => undefined);
    expect(events.of('step')).toEqual([
      { action: 'started', id: 'a', ...options },
      { action: 'saved', id: 'a', ...options, version: 1, durationMs: 250 },
      { action: 'restored', id: 'a', ...options, version: 1 },
      { action: 'started', id: 'b', ...options },
      { action: 'failed', id: 'b', ...options, durationMs: 0 },
    ]);
    expect(events.of('checkpoint')[0]).toMatchObject({ action: 'saved', ...options, durationMs: 250 });
    expect((await service.history({ workflow: 'w' }))[0]).toMatchObject({ id: 'a', durationMs: 250 });
  });

  it('refuses an unknown lane, a bad id and a bad workflow before it runs', async () => {
    const { service } = checkpointsInMemory();
    let runs = 0;
    const run = (): number => ++runs;
    await expect(service.runStep('', run)).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID', field: 'id' });
    await expect(service.runStep('a', run, { lane: 'none' })).rejects.toMatchObject({ code: 'LANE_UNKNOWN' });
    await expect(service.runStep('a', run, { workflow: 'w'.repeat(2_000) })).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
    });
    expect(runs).toBe(0);
  });
});

describe('an exclusive step', () => {
  const exclusive = { exclusive: true } as const;

  it('runs in one process at a time, and the others wait for its result', async () => {
    const { service, other, clock } = twoProcesses();
    const gate = new Deferred<string>();
    let runs = 0;
    const run = (): Promise<string> => {
      runs += 1;
      return gate.promise;
    };
    const first = service.runStep('a', run, exclusive);
    await settle();
    const second = other.runStep('a', run, exclusive);
    await settle();
    await clock.advance('10s');
    expect(runs).toBe(1);
    gate.resolve('x');
    expect(await first).toBe('x');
    await settle();
    await clock.advance('100ms');
    expect(await second).toBe('x');
    expect(runs).toBe(1);
  });

  it('does not run where its result was saved while it asked for the lease', async () => {
    const { service, store, clock, events } = twoProcesses();
    const gate = new Deferred<void>();
    const lease = (request: LeaseRequest): Promise<LeaseAnswer> => gate.promise.then(() => store.lease(request));
    const slow: CheckpointStore = Object.assign(Object.create(store), { lease });
    const late = checkpointsInMemory({ clock, events, store: () => slow });
    let runs = 0;
    const second = late.service.runStep('a', () => ++runs, exclusive);
    await settle();
    expect(await service.runStep('a', () => 'saved', exclusive)).toBe('saved');
    gate.resolve();
    expect(await second).toBe('saved');
    expect(runs).toBe(0);
  });

  it('passes to the next process when it fails', async () => {
    const { service, other, clock } = twoProcesses();
    const gate = new Deferred<string>();
    const first = service.runStep('a', () => gate.promise, exclusive);
    await settle();
    const second = other.runStep('a', () => 'second', exclusive);
    await settle();
    gate.reject(new Error('no'));
    await expect(first).rejects.toThrow('no');
    await settle();
    await clock.advance('100ms');
    expect(await second).toBe('second');
  });

  it('of a holder that was frozen beyond its lease is not saved over the next one', async () => {
    const { service, store, clock } = checkpointsInMemory();
    // Another process, cut off from the store: its lease is never extended.
    await store.lease({ action: 'take', id: 'a', token: 'frozen', isRemote: true });
    const next = new Deferred<string>();
    const second = service.runStep('a', () => next.promise, exclusive);
    await settle();
    for (let waited = 0; waited <= LEASE_MS; waited += 50) {
      await clock.advance('50ms');
      await settle();
    }
    const draft = { id: 'a', lane: 'standard', savedAt: clock.now(), sizeBytes: 1, checksum: 'x' };
    const late = await store.save(draft, Uint8Array.of(1), { lease: 'frozen', expectedVersion: 0, epoch: 0 });
    expect(late).toMatchObject({ outcome: 'conflict', cause: 'lease' });
    next.resolve('second');
    expect(await second).toBe('second');
    expect(await service.restoreCheckpoint('a')).toBe('second');
  });

  it('whose lease passed on while it ran drops its result, and ends with that of the other', async () => {
    const { store, clock, events } = checkpointsInMemory();
    let token = '';
    const lease = (request: LeaseRequest): Promise<LeaseAnswer> => {
      token = request.token;
      return store.lease(request);
    };
    const watched: CheckpointStore = Object.assign(Object.create(store), { lease });
    const { service } = checkpointsInMemory({ clock, events, store: () => watched });
    const gate = new Deferred<string>();
    const first = service.runStep('a', () => gate.promise, exclusive);
    await settle();
    await store.lease({ action: 'release', id: 'a', token });
    await store.lease({ action: 'take', id: 'a', token: 'other' });
    gate.resolve('first');
    await settle();
    await service.cacheCheckpoint('a', 'other');
    await store.lease({ action: 'release', id: 'a', token: 'other' });
    await clock.advance('100ms');
    await settle();
    expect(await first).toBe('other');
  });
});
