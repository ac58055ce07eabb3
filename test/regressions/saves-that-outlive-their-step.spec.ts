import { describe, expect, it } from '@jest/globals';
import type { CheckpointService } from '../../lib/checkpoints/checkpoint-service.js';
import { LEASE_MS } from '../../lib/checkpoints/leases.js';
import { pass, settle, twoProcesses } from '../support/checkpoints.js';
import { Deferred } from '../support/deferred.js';

const CONFLICT = { code: 'CHECKPOINT_CONFLICT' };
const IN_W = { workflow: 'w' } as const;
const EXCLUSIVE = { exclusive: true } as const;

type Save = (service: CheckpointService, options: { readonly workflow?: string }) => Promise<unknown>;

const WAYS: readonly (readonly [string, Save])[] = [
  ['cacheCheckpoint', (service, options) => service.cacheCheckpoint('own', 'old', options)],
  ['fork', (service, options) => service.fork('elsewhere', 'own', options)],
];

/** Work that a step begins and does not await. It saves when `gate` opens. */
class Leftover {
  readonly gate = new Deferred<void>();
  ended: Promise<unknown> = Promise.resolve();

  begin(save: () => Promise<unknown>): void {
    this.ended = this.gate.promise.then(save);
    this.ended.catch(() => undefined);
  }

  /** How it ended. */
  open(): Promise<unknown> {
    this.gate.resolve();
    return this.ended;
  }
}

describe.each(WAYS)('what a step began and did not await, when it saves by %s after the step', (_way, save) => {
  it('is refused once the workflow was invalidated', async () => {
    const { service, other } = twoProcesses();
    await service.cacheCheckpoint('elsewhere', 'x');
    const leftover = new Leftover();
    await service.runStep('a', () => leftover.begin(() => save(service, IN_W)), IN_W);
    await settle();
    await other.invalidateWorkflow('w');
    await expect(leftover.open()).rejects.toMatchObject({
      ...CONFLICT,
      message: expect.stringContaining("workflow 'w'"),
    });
    expect(await service.restoreCheckpoint('own')).toBeUndefined();
  });

  it.each([
    ['of the same workflow', IN_W],
    ['without a workflow, as the exclusive step', EXCLUSIVE],
  ])('is refused: %s', async (_which, options: { readonly workflow?: string; readonly exclusive?: true }) => {
    const { service } = twoProcesses();
    await service.cacheCheckpoint('elsewhere', 'x');
    const leftover = new Leftover();
    const { exclusive: _, ...labels } = options;
    await service.runStep('a', () => (leftover.begin(() => save(service, labels)), 1), options);
    await settle();
    await expect(leftover.open()).rejects.toMatchObject({ ...CONFLICT, id: 'own', currentVersion: 0 });
    await expect(leftover.ended).rejects.toMatchObject({ message: expect.stringContaining("'a' after it had ended") });
    expect(await service.restoreCheckpoint('own')).toBeUndefined();
  });

  it('is refused after the step has failed, while its next attempt runs', async () => {
    const { service } = twoProcesses();
    await service.cacheCheckpoint('elsewhere', 'x');
    const leftover = new Leftover();
    const failing = service.runStep(
      'a',
      () => {
        leftover.begin(() => save(service, IN_W));
        throw new Error('first attempt');
      },
      IN_W,
    );
    await expect(failing).rejects.toThrow('first attempt');
    const saved = service.runStep('a', () => service.cacheCheckpoint('own', 'new', IN_W).then(() => 2), IN_W);
    expect(await saved).toBe(2);
    await expect(leftover.open()).rejects.toMatchObject(CONFLICT);
    expect(await service.restoreCheckpoint('own')).toBe('new');
  });

  it.each([
    ['of another workflow', { workflow: 'v' }, IN_W],
    ['without a workflow, in a step that has one', {}, IN_W],
    ['without a workflow, in a step that has none and is not exclusive', {}, {}],
  ])('is saved: %s', async (_which, labels: { readonly workflow?: string }, options) => {
    const { service } = twoProcesses();
    await service.cacheCheckpoint('elsewhere', 'old');
    const leftover = new Leftover();
    await service.runStep('a', () => (leftover.begin(() => save(service, labels)), 1), options);
    await settle();
    await leftover.open();
    expect(await service.restoreCheckpoint('own')).toBe('old');
  });
});

describe('a step that begins after the step around it has ended', () => {
  const late = async (invalidate: (service: CheckpointService) => Promise<unknown>): Promise<unknown> => {
    const { service, other } = twoProcesses();
    const leftover = new Leftover();
    await service.runStep('a', () => (leftover.begin(() => service.runStep('late', () => 'late', IN_W)), 1), IN_W);
    await settle();
    await invalidate(other);
    return leftover.open();
  };

  it('neither runs nor saves once the workflow was invalidated', async () => {
    await expect(late((other) => other.invalidateWorkflow('w'))).rejects.toMatchObject(CONFLICT);
  });

  it('runs and is saved before', async () => {
    expect(await late(() => Promise.resolve())).toBe('late');
  });
});

describe('a save that a step called before it ended, without awaiting it', () => {
  it.each([IN_W, EXCLUSIVE, { ...IN_W, ...EXCLUSIVE }])('is saved: %p', async (options: object) => {
    const { service } = twoProcesses();
    const labels = 'workflow' in options ? IN_W : {};
    let saved: Promise<unknown> = Promise.resolve();
    const step = (): number => {
      saved = service.cacheCheckpoint('own', 'mine', labels);
      return 1;
    };
    expect(await service.runStep('a', step, options)).toBe(1);
    await saved;
    expect(await service.restoreCheckpoint('own')).toBe('mine');
  });
});

describe('an exclusive step that has lost its lease', () => {
  /** The process of the first step is frozen: it extends its lease no more, as one of which the owner hears nothing. */
  const frozen = async (first: (service: CheckpointService, thawed: Promise<void>) => Promise<unknown>) => {
    const bench = twoProcesses();
    const { service, other, clock, store } = bench;
    const thawed = new Deferred<void>();
    const lease = store.lease.bind(store);
    // As the owner sees another process that asks over its socket.
    store.lease = (request) => lease({ ...request, isRemote: true });
    const old = service.runStep('a', () => first(service, thawed.promise), { ...IN_W, ...EXCLUSIVE });
    old.catch(() => undefined);
    await settle();
    store.lease = (request) => (request.action === 'extend' ? Promise.resolve({ isHeld: true }) : lease(request));
    const next = other.runStep('a', () => other.cacheCheckpoint('own', 'new', IN_W).then(() => 'next'), {
      ...IN_W,
      ...EXCLUSIVE,
    });
    await pass(clock, 2 * LEASE_MS);
    expect(await next).toBe('next');
    thawed.resolve();
    await pass(clock, 200);
    return { ...bench, old };
  };

  it('saves nothing, and adopts the result of the next one', async () => {
    const refusals: unknown[] = [];
    const { service, old } = await frozen((mine, thawed) =>
      thawed
        .then(() => mine.cacheCheckpoint('own', 'old', IN_W))
        .catch((error: unknown) => {
          refusals.push(error);
          throw error;
        }),
    );
    expect(await old).toBe('next');
    expect(refusals).toEqual([expect.objectContaining({ ...CONFLICT, id: 'own', currentVersion: 1 })]);
    expect(await service.restoreCheckpoint('own')).toBe('new');
    expect(await service.history('own')).toHaveLength(1);
  });

  it('saves nothing in a step within it that needs no lease', async () => {
    const { service, old } = await frozen((mine, thawed) =>
      thawed.then(() => mine.runStep('inner', () => mine.cacheCheckpoint('own', 'old', IN_W).then(() => 1), IN_W)),
    );
    expect(await old).toBe('next');
    expect(await service.restoreCheckpoint('own')).toBe('new');
  });
});

describe('an app that was closed', () => {
  it('leaves no async context of its steps behind', async () => {
    const { service, store } = twoProcesses();
    await service.runStep('a', () => 1);
    await store.close();
    service.end();
    let current: unknown = 'not called';
    await service.runStep('b', () => (current = service['steps']?.scopes.current), { onUnavailable: 'run' });
    expect(current).toBeUndefined();
  });
});
