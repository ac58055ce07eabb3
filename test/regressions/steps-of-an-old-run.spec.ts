import { describe, expect, it } from '@jest/globals';
import type { CheckpointService } from '../../lib/checkpoints/checkpoint-service.js';
import type { CheckpointStore, ReadOutcome } from '../../lib/checkpoints/checkpoint-store.js';
import { StorageFault } from '../../lib/storage/environment.js';
import { checkpointsInMemory, settle, twoProcesses } from '../support/checkpoints.js';
import { Deferred } from '../support/deferred.js';

const IN_W = { workflow: 'w' } as const;
const CONFLICT = { code: 'CHECKPOINT_CONFLICT' };

/** A step that waits for `gate` inside, and of which nobody handles the failure yet. */
function begun<T>(service: CheckpointService, id: string, run: () => Promise<T>, options = IN_W): Promise<T> {
  const step = service.runStep(id, run, options);
  step.catch(() => undefined);
  return step;
}

describe('a step of a run before its workflow was invalidated', () => {
  it.each([
    ['directly', false],
    ['through a step without a workflow', true],
  ])('neither runs nor saves inside a step that began before, %s', async (_how, isDeep) => {
    const { service, other } = twoProcesses();
    const gate = new Deferred<void>();
    let runs = 0;
    const inner = (): Promise<number> => service.runStep('inner', () => ++runs, IN_W);
    const outer = begun(service, 'outer', async () => {
      await gate.promise;
      return isDeep ? service.runStep('between', inner) : inner();
    });
    await settle();
    await other.invalidateWorkflow('w');
    gate.resolve();
    await expect(outer).rejects.toMatchObject(CONFLICT);
    expect(runs).toBe(0);
    expect(await service.runStep('inner', () => 'new', IN_W)).toBe('new');
  });

  it('does not save when it waited for its lease meanwhile', async () => {
    const { service, other, clock } = twoProcesses();
    const gate = new Deferred<string>();
    const first = begun(other, 'a', () => gate.promise, { ...IN_W, exclusive: true } as never);
    await settle();
    let runs = 0;
    const second = begun(service, 'a', async () => ++runs, { ...IN_W, exclusive: true } as never);
    await settle();
    await service.invalidateWorkflow('w');
    gate.resolve('old');
    await expect(first).rejects.toMatchObject(CONFLICT);
    await clock.advance('100ms');
    await settle();
    await expect(second).rejects.toMatchObject(CONFLICT);
    expect(runs).toBe(0);
  });

  it.each(['this process', 'another process'])('is not joined after %s has invalidated it', async (who) => {
    const { service, other } = twoProcesses();
    const gate = new Deferred<string>();
    const old = begun(service, 'a', () => gate.promise);
    await settle();
    await (who === 'this process' ? service : other).invalidateWorkflow('w');
    const fresh = service.runStep('a', () => 'new', IN_W);
    await settle();
    gate.resolve('old');
    await expect(old).rejects.toMatchObject(CONFLICT);
    expect(await fresh).toBe('new');
    expect(await service.restoreCheckpoint('a')).toBe('new');
  });

  it('is not joined while it still reads its checkpoint', async () => {
    const { store, clock, events } = checkpointsInMemory();
    const gate = new Deferred<void>();
    const read = async (...args: Parameters<CheckpointStore['read']>): Promise<ReadOutcome> => {
      const found = await store.read(...args);
      await gate.promise;
      return found;
    };
    const slow: CheckpointStore = Object.assign(Object.create(store), { read });
    const { service } = checkpointsInMemory({ clock, events, store: () => slow });
    await service.runStep('a', () => 'old', IN_W);
    const first = service.runStep('a', () => 'x', IN_W);
    await settle();
    await service.invalidateWorkflow('w');
    const second = service.runStep('a', () => 'new', IN_W);
    await settle();
    gate.resolve();
    expect(await first).toBe('old');
    expect(await second).toBe('new');
  });

  it('leaves further callers of the new run to share that', async () => {
    const { service } = twoProcesses();
    const [oldGate, newGate] = [new Deferred<string>(), new Deferred<string>()];
    const old = begun(service, 'a', () => oldGate.promise);
    await settle();
    await service.invalidateWorkflow('w');
    let runs = 0;
    const run = (): Promise<string> => {
      runs += 1;
      return newGate.promise;
    };
    const first = service.runStep('a', run, IN_W);
    await settle();
    oldGate.resolve('old');
    await expect(old).rejects.toMatchObject(CONFLICT);
    const second = service.runStep('a', run, IN_W);
    await settle();
    newGate.resolve('new');
    expect(await Promise.all([first, second])).toEqual(['new', 'new']);
    expect(runs).toBe(1);
  });
});

describe('a workflow that is invalidated', () => {
  it('keeps what is saved while the removal goes on, however much goes', async () => {
    const { service, store } = checkpointsInMemory();
    const ids = Array.from({ length: 300 }, (_, n) => `${n}`);
    await Promise.all(ids.map((id) => service.cacheCheckpoint(id, 1, IN_W)));
    const removed: Promise<number>[] = [];
    const slice = store.invalidateWorkflow.bind(store);
    store.invalidateWorkflow = async (...args) => {
      const answer = await slice(...args);
      if (args[1] === undefined) await service.cacheCheckpoint('between', 'new', IN_W);
      return answer;
    };
    removed.push(service.invalidateWorkflow('w'));
    expect(await Promise.all(removed)).toEqual([300]);
    expect(await service.restoreCheckpoint('between')).toBe('new');
    expect((await service.list(IN_W)).items).toHaveLength(1);
  });
});

describe('a caller that meets a step under way', () => {
  it('gets no result that is too old for it', async () => {
    const { service, clock } = twoProcesses();
    await service.runStep('a', () => 'old');
    await clock.advance('2h');
    const calls = [service.runStep('a', () => 'x'), service.runStep('a', () => 'new', { maxAge: '1h' })];
    expect(await Promise.all(calls)).toEqual(['old', 'new']);
  });

  it.each([
    ['its workflow', { workflow: 'v' }],
    ['exclusive', { exclusive: true }],
    ['onUnavailable', { onUnavailable: 'run' }],
  ] as const)('and differs in %s, looks for itself after a failure', async (_what, options) => {
    const { service, clock } = twoProcesses();
    const gate = new Deferred<string>();
    const first = begun(service, 'a', () => gate.promise);
    const same = begun(service, 'a', async () => 'not run');
    await settle();
    let wasRunning = false;
    let isRunning = true;
    const second = service.runStep('a', () => ((wasRunning = isRunning), 'mine'), { ...IN_W, ...options });
    await settle();
    first.catch(() => (isRunning = false));
    gate.reject(new Error('no'));
    await expect(first).rejects.toThrow('no');
    await expect(same).rejects.toThrow('no');
    await clock.advance('100ms');
    expect(await second).toBe('mine');
    expect(wasRunning).toBe(false);
  });

  it('and differs in its labels, shares the result, which is saved with those of the first', async () => {
    const { service } = twoProcesses();
    const calls = [1, 2].map((step) => service.runStep('a', () => `of ${step}`, { step, ttl: `${step}h` }));
    expect(await Promise.all(calls)).toEqual(['of 1', 'of 1']);
    expect((await service.history('a')).map(({ step }) => step)).toEqual([1]);
  });

  it.each(['at its save', 'at its beginning'])('gets a copy of its own where checkpoints fail %s', async (when) => {
    const { store, environment, clock, events } = checkpointsInMemory();
    const begin = (): Promise<never> => Promise.reject(new StorageFault('io', 'EIO'));
    const off: CheckpointStore = Object.assign(Object.create(store), { begin });
    const { service } = checkpointsInMemory({ clock, events, store: () => (when === 'at its save' ? store : off) });
    let runs = 0;
    const run = (): { readonly runs: number } => {
      environment.beforeCommit = () => Promise.reject(new StorageFault('disk-full', 'ENOSPC'));
      return { runs: ++runs };
    };
    const [first, second] = await Promise.all([1, 2].map(() => service.runStep('a', run, { onUnavailable: 'run' })));
    expect([first, second]).toEqual([{ runs: 1 }, { runs: 1 }]);
    expect(first).not.toBe(second);
  });
});

describe('a step that could not be saved', () => {
  it.each([
    ['a ttl of 0', { ttl: 0 }, 'TTL_INVALID'],
    ["a ttl of '0s'", { ttl: '0s' }, 'TTL_INVALID'],
    ['a step of 2,000 bytes', { step: 'x'.repeat(2_000) }, 'CHECKPOINT_INVALID'],
  ])('because of %s is refused before it runs', async (_what, options, code) => {
    const { service } = checkpointsInMemory();
    let runs = 0;
    await expect(service.runStep('a', () => ++runs, options as never)).rejects.toMatchObject({ code });
    expect(runs).toBe(0);
  });

  it.each([[5], [undefined], [{}]])('because it is no function but %p is refused with a code', async (run) => {
    const { service } = checkpointsInMemory();
    await expect(service.runStep('a', run as never)).rejects.toMatchObject({ code: 'COMPUTE_INVALID', key: 'a' });
  });
});

describe('what the function of a step saves itself', () => {
  const ways: readonly (readonly [string, (service: CheckpointService) => Promise<unknown>])[] = [
    ['by cacheCheckpoint', (service) => service.cacheCheckpoint('own', 'old', IN_W)],
    [
      'by cacheCheckpoint with expectedVersion',
      (service) => service.cacheCheckpoint('own', 'old', { ...IN_W, expectedVersion: 0 }),
    ],
    ['by fork', (service) => service.fork('elsewhere', 'own', IN_W)],
    [
      'in a step of another workflow',
      (service) => service.runStep('between', () => service.cacheCheckpoint('own', 'old', IN_W), { workflow: 'v' }),
    ],
  ];

  it.each(ways)('is in conflict once the workflow was invalidated: %s', async (_how, save) => {
    const { service, other } = twoProcesses();
    await service.cacheCheckpoint('elsewhere', 'x');
    const gate = new Deferred<void>();
    const step = begun(service, 'a', async () => {
      await gate.promise;
      return save(service);
    });
    await settle();
    await other.invalidateWorkflow('w');
    gate.resolve();
    await expect(step).rejects.toMatchObject({ ...CONFLICT, message: expect.stringContaining("workflow 'w'") });
    expect(await service.restoreCheckpoint('own')).toBeUndefined();
  });

  it.each(ways)('is saved while nobody has invalidated it: %s', async (_how, save) => {
    const { service } = twoProcesses();
    await service.cacheCheckpoint('elsewhere', 'old');
    await service.runStep('a', () => save(service).then(() => 1), IN_W);
    expect(await service.restoreCheckpoint('own')).toBe('old');
  });

  it('is saved if it is of no workflow, of another one, or saved outside of a step', async () => {
    const { service, other } = twoProcesses();
    const gate = new Deferred<void>();
    const step = begun(service, 'a', async () => {
      await gate.promise;
      await service.cacheCheckpoint('none', 1);
      await service.cacheCheckpoint('another', 2, { workflow: 'v' });
    });
    await settle();
    await other.invalidateWorkflow('w');
    await service.cacheCheckpoint('outside', 3, IN_W);
    gate.resolve();
    await step;
    const found = ['none', 'another', 'outside'].map((id) => service.restoreCheckpoint(id));
    expect(await Promise.all(found)).toEqual([1, 2, 3]);
  });
});
