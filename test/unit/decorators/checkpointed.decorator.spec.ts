import { describe, expect, it } from '@jest/globals';
import { Checkpointed, type CheckpointedOptions } from '../../../lib/decorators/checkpointed.decorator.js';
import { setManager } from '../../../lib/decorators/method-wrapper.js';
import { checkpointsInMemory, type CheckpointBench } from '../../support/checkpoints.js';
import { FakeLaneManager } from '../../support/fake-lane-manager.js';

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
  const bench = checkpointsInMemory({ warn: (message) => manager.warnOnce(message, message) });
  manager.snapshots = bench.service;
  const work = new Import();
  setManager(work, manager.asManager);
  return { work, manager, bench, Import };
}

const saved = async ({ service }: CheckpointBench): Promise<readonly string[]> =>
  (await service.list()).items.map(({ id }) => id).toSorted();

describe('@Checkpointed', () => {
  it('runs and saves the first time, and restores from then on', async () => {
    const { work, bench } = checkpointed();
    expect(await work.load(1)).toEqual({ rows: [1] });
    expect(await work.load(1)).toEqual({ rows: [1] });
    expect(await work.load(2)).toEqual({ rows: [2] });
    expect(work.runs).toBe(2);
    expect(await saved(bench)).toEqual(['nightly:1', 'nightly:2']);
  });

  it('labels what it saves, from `this` and the arguments', async () => {
    const { work, bench } = checkpointed({
      lane: 'heavy',
      ttl: '7d',
      workflow: function (this: { name: string }) {
        return this.name;
      },
      step: (batch: number) => batch,
      maxAge: '1d',
    });
    await work.load(3);
    const [info] = await bench.service.history('nightly:3');
    expect(info).toMatchObject({ lane: 'heavy', workflow: 'nightly', step: 3, durationMs: 0 });
    expect(Date.parse(info?.expiresAt ?? '') - Date.parse(info?.savedAt ?? '')).toBe(7 * 86_400_000);
    await bench.clock.advance('25h');
    await work.load(3);
    expect(work.runs).toBe(2);
  });

  it('runs once for concurrent callers of one id, and gives each its own copy', async () => {
    const { work, Import, bench } = checkpointed();
    const other = new Import();
    const family = new FakeLaneManager();
    family.snapshots = bench.service;
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
    const { work, bench } = checkpointed();
    expect([await work.load(0), await work.load(0)]).toEqual([undefined, undefined]);
    expect(work.runs).toBe(2);
    expect(await saved(bench)).toEqual([]);
  });

  it('does not let two apps wait for each other', async () => {
    const { work, Import } = checkpointed();
    const other = new Import();
    const elsewhere = new FakeLaneManager();
    elsewhere.snapshots = checkpointsInMemory().service;
    setManager(other, elsewhere.asManager);
    await Promise.all([work.load(1), other.load(1)]);
    expect([work.runs, other.runs]).toEqual([1, 1]);
  });

  const broken = (bench: ReturnType<typeof checkpointed>['bench']) => {
    bench.environment.table('heads').isUnreadable = true;
  };

  it('throws before the step runs when checkpoints are unavailable', async () => {
    const { work, bench } = checkpointed();
    broken(bench);
    await expect(work.load(1)).rejects.toMatchObject({ code: 'CHECKPOINTS_UNAVAILABLE' });
    expect(work.runs).toBe(0);
  });

  it('runs unsaved, with a warning, when checkpoints are unavailable and onUnavailable allows it', async () => {
    const { work, bench, manager } = checkpointed({ onUnavailable: 'run' });
    broken(bench);
    expect(await work.load(1)).toEqual({ rows: [1] });
    expect(manager.warnings).toEqual([expect.stringContaining("The step 'nightly:1' runs without its checkpoint")]);
  });

  it('gives the value of a step whose result can no longer be saved, where onUnavailable allows it', async () => {
    const { work, bench } = checkpointed({ onUnavailable: 'run' });
    bench.environment.failNext = new Error('broken');
    await expect(work.load(1)).rejects.toThrow('broken');
    expect(work.runs).toBe(1);
  });

  it('rejects on a damaged checkpoint also where onUnavailable allows to run', async () => {
    const { work, bench } = checkpointed({ onUnavailable: 'run' });
    await work.load(1);
    const states = bench.environment.table('states');
    for (const { key } of [...states.range()]) {
      await bench.environment.commit((transaction) => transaction.put(states, key, Uint8Array.of(1)));
    }
    await expect(work.load(1)).rejects.toMatchObject({ code: 'CHECKPOINT_DAMAGED' });
    expect(work.runs).toBe(1);
  });

  it('takes a template for the id, and rejects before the step runs where a value is missing', async () => {
    const bench = checkpointsInMemory();
    class Job {
      runs = 0;
      @Checkpointed({ id: 'job:{0.name}:{1}' })
      async step(job: { readonly name?: string }, step: number): Promise<number> {
        this.runs += 1;
        return step + (job.name ?? '').length;
      }
    }
    const manager = new FakeLaneManager();
    manager.snapshots = bench.service;
    const job = new Job();
    setManager(job, manager.asManager);
    await job.step({ name: 'a:b' }, 1);
    expect(await saved(bench)).toEqual(['job:a%3ab:1']);
    await expect(job.step({}, 1)).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID', field: 'id' });
    expect(job.runs).toBe(1);
  });

  it('refuses an id that is neither a template nor a function', () => {
    for (const id of ['', 'job:{0', 7, undefined]) {
      expect(() => checkpointed({ id } as object)).toThrow(expect.objectContaining({ code: 'DECORATOR_INVALID' }));
    }
  });
});
