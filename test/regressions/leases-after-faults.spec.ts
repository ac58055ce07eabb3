import { describe, expect, it } from '@jest/globals';
import { LEASE_MS } from '../../lib/checkpoints/leases.js';
import { StorageFault } from '../../lib/storage/environment.js';
import { checkpointsInMemory, pass, settle, twoProcesses } from '../support/checkpoints.js';
import { Deferred } from '../support/deferred.js';

const EXCLUSIVE = { exclusive: true } as const;
type Environment = ReturnType<typeof checkpointsInMemory>['environment'];

const fullDisk = (): StorageFault => new StorageFault('disk-full', 'ENOSPC');

/** What goes wrong while a step runs, and how the step ends then. */
const FAULTS: Readonly<Record<string, (environment: Environment) => unknown>> = {
  'its release fails': (environment) => {
    environment.failNext = fullDisk();
    throw new Error('the step fails');
  },
  'its save and its release fail': (environment) => {
    environment.beforeCommit = () => Promise.reject(fullDisk());
    return 1;
  },
};

/** From here on each commit succeeds after its deadline. */
function beLate(environment: Environment): () => void {
  const commit = environment.commit.bind(environment);
  environment.commit = async (fill) => {
    await commit(fill);
    throw new StorageFault('deadline', 'the disk is slow');
  };
  return () => {
    environment.commit = commit;
  };
}

describe('the lease on an exclusive step is free again', () => {
  it.each(Object.entries(FAULTS))('when %s', async (_fault, fail) => {
    const { service, other, environment, clock } = twoProcesses();
    const failing = service.runStep('a', () => fail(environment), EXCLUSIVE);
    await expect(failing).rejects.toBeInstanceOf(Error);
    environment.beforeCommit = undefined;
    const next = other.runStep('a', () => 'next', EXCLUSIVE);
    await pass(clock, 2 * LEASE_MS);
    expect(await next).toBe('next');
  });

  it('when it was taken after the deadline of its write', async () => {
    const { service, other, environment, clock } = twoProcesses();
    const beInTime = beLate(environment);
    let runs = 0;
    await expect(service.runStep('a', () => ++runs, EXCLUSIVE)).rejects.toMatchObject({
      code: 'CHECKPOINTS_UNAVAILABLE',
    });
    beInTime();
    const next = other.runStep('a', () => ++runs, EXCLUSIVE);
    await pass(clock, 2 * LEASE_MS);
    expect(await next).toBe(1);
  });

  it('when a process that asks the owner could not release it', async () => {
    const { service, store, environment, clock } = checkpointsInMemory();
    const lease = { id: 'a', token: 'remote', isRemote: true } as const;
    await store.lease({ action: 'take', ...lease });
    environment.failNext = fullDisk();
    await expect(store.lease({ action: 'release', ...lease })).rejects.toBeInstanceOf(StorageFault);
    const next = service.runStep('a', () => 'next', EXCLUSIVE);
    await pass(clock, LEASE_MS);
    expect(await next).toBe('next');
  });
});

describe('exclusive steps of two processes that wait for each other', () => {
  /** Each holds the lease that the other one wants. */
  const inACircle = async () => {
    const bench = twoProcesses();
    const { service, other } = bench;
    const both = new Deferred<void>();
    const around = (process: typeof service, id: string, inner: string): Promise<string> =>
      process.runStep(id, () => both.promise.then(() => process.runStep(inner, () => inner, EXCLUSIVE)), EXCLUSIVE);
    const calls = [around(service, 'a', 'b'), around(other, 'b', 'a')];
    const ends = Promise.allSettled(calls);
    await settle();
    both.resolve();
    return { ...bench, ends };
  };

  it('end after 30 s, and both ids are free', async () => {
    const { service, clock, ends } = await inACircle();
    await pass(clock, 31_000, 500);
    const reasons = (await ends).flatMap((end): unknown[] => (end.status === 'rejected' ? [end.reason] : []));
    expect(reasons.length).toBeGreaterThan(0);
    for (const reason of reasons) expect(reason).toMatchObject({ code: 'REENTRANT' });
    for (const id of ['a', 'b']) {
      const next = service.runStep(id, () => 'free', EXCLUSIVE);
      await pass(clock, 200);
      // The one that went on has saved its result.
      expect(['free', 'a', 'b']).toContain(await next);
    }
  });

  it('are not taken for a circle where only one waits, however long', async () => {
    const { service, other, clock } = twoProcesses();
    const gate = new Deferred<string>();
    const first = service.runStep('a', () => gate.promise, EXCLUSIVE);
    await settle();
    const second = other.runStep('a', () => 'second', EXCLUSIVE);
    await pass(clock, 60_000, 1_000);
    gate.resolve('first');
    expect(await first).toBe('first');
    await pass(clock, 200);
    expect(await second).toBe('first');
  });
});
