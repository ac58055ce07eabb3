import { describe, expect, it } from '@jest/globals';
import { Checkpointed, type CheckpointedOptions } from '../../../lib/decorators/checkpointed.decorator.js';
import { setManager } from '../../../lib/decorators/method-wrapper.js';
import { LaneCacheError } from '../../../lib/errors/lane-cache.error.js';
import { FakeLaneManager } from '../../support/fake-lane-manager.js';

/** Checkpoints in a Map, each restored as a copy. */
class FakeCheckpoints {
  readonly states = new Map<string, unknown>();
  readonly saved: unknown[] = [];
  readonly asked: unknown[] = [];
  failure: Error | undefined;

  async restoreCheckpoint(id: string, options: unknown): Promise<unknown> {
    this.asked.push(options);
    if (this.failure !== undefined) throw this.failure;
    return structuredClone(this.states.get(id));
  }

  async cacheCheckpoint(id: string, state: unknown, options: unknown): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    this.states.set(id, structuredClone(state));
    this.saved.push([id, options]);
  }
}

interface Batch {
  readonly rows: number[];
}

function checkpointed(options: Omit<CheckpointedOptions, 'id'> = {}) {
  class Import {
    runs = 0;
    readonly name = 'nightly';

    @Checkpointed({
      id: function (this: Import, batch: number) {
        return `${this.name}:${batch}`;
      },
      ...options,
    })
    async load(batch: number): Promise<Batch | undefined> {
      this.runs++;
      if (batch < 0) throw new Error('no such batch');
      return batch === 0 ? undefined : { rows: [batch] };
    }
  }
  const manager = new FakeLaneManager();
  const checkpoints = new FakeCheckpoints();
  manager.snapshots = checkpoints;
  const work = new Import();
  setManager(work, manager.asManager);
  return { work, manager, checkpoints, Import };
}

describe('@Checkpointed', () => {
  it('runs and saves the first time, and restores from then on', async () => {
    const { work, checkpoints } = checkpointed();
    expect(await work.load(1)).toEqual({ rows: [1] });
    expect(await work.load(1)).toEqual({ rows: [1] });
    expect(await work.load(2)).toEqual({ rows: [2] });
    expect(work.runs).toBe(2);
    expect([...checkpoints.states.keys()]).toEqual(['nightly:1', 'nightly:2']);
  });

  it('labels what it saves, from `this` and the arguments', async () => {
    const { work, checkpoints } = checkpointed({
      lane: 'heavy',
      ttl: '7d',
      workflow: function (this: { name: string }) {
        return this.name;
      },
      step: (batch: number) => batch,
      maxAge: '1d',
    });
    await work.load(3);
    expect(checkpoints.saved).toEqual([['nightly:3', { lane: 'heavy', ttl: '7d', workflow: 'nightly', step: 3 }]]);
    expect(checkpoints.asked).toEqual([{ maxAge: '1d' }]);
  });

  it('runs once for concurrent callers of one id, and gives each its own copy', async () => {
    const { work, Import, checkpoints } = checkpointed();
    const other = new Import();
    const family = new FakeLaneManager();
    family.snapshots = checkpoints;
    setManager(other, family.asManager);
    const [first, second, third] = await Promise.all([work.load(1), work.load(1), other.load(1)]);
    expect(work.runs + other.runs).toBe(1);
    expect(second).toEqual(first);
    first?.rows.push(99);
    expect([second, third]).toEqual([{ rows: [1] }, { rows: [1] }]);
  });

  it('rejects all waiting callers with the error of a step, and runs the step again for the next', async () => {
    const { work } = checkpointed();
    const results = await Promise.allSettled([work.load(-1), work.load(-1)]);
    const failed = { status: 'rejected', reason: new Error('no such batch') };
    expect(results).toEqual([failed, failed]);
    await expect(work.load(-1)).rejects.toThrow('no such batch');
    expect(work.runs).toBe(2);
  });

  it('does not save `undefined`', async () => {
    const { work, checkpoints } = checkpointed();
    expect([await work.load(0), await work.load(0)]).toEqual([undefined, undefined]);
    expect(work.runs).toBe(2);
    expect(checkpoints.states.size).toBe(0);
  });

  it('does not let two apps wait for each other', async () => {
    const { work, Import } = checkpointed();
    const other = new Import();
    const elsewhere = new FakeLaneManager();
    elsewhere.snapshots = new FakeCheckpoints();
    setManager(other, elsewhere.asManager);
    await Promise.all([work.load(1), other.load(1)]);
    expect([work.runs, other.runs]).toEqual([1, 1]);
  });

  const unavailable = new LaneCacheError('CHECKPOINTS_UNAVAILABLE', 'Another process owns the directory.');

  it('throws before the step runs when checkpoints are unavailable', async () => {
    const { work, checkpoints } = checkpointed();
    checkpoints.failure = unavailable;
    await expect(work.load(1)).rejects.toBe(unavailable);
    expect(work.runs).toBe(0);
  });

  it('runs unsaved, with one warning, when checkpoints are unavailable and onUnavailable allows it', async () => {
    const { work, checkpoints, manager } = checkpointed({ onUnavailable: 'run' });
    checkpoints.failure = unavailable;
    expect(await work.load(1)).toEqual({ rows: [1] });
    expect(manager.warnings).toEqual([expect.stringContaining('Another process owns the directory.')]);
    checkpoints.failure = new LaneCacheError('CHECKPOINT_DAMAGED', 'Version 1 is damaged.');
    await expect(work.load(1)).rejects.toMatchObject({ code: 'CHECKPOINT_DAMAGED' });
  });

  it('refuses an id that is not a function', () => {
    expect(() => checkpointed({ id: 'nightly' } as object)).toThrow(
      expect.objectContaining({ code: 'DECORATOR_INVALID' }),
    );
  });
});
