import { AsyncLocalStorage } from 'node:async_hooks';
import type { SaveConditions } from './checkpoint-store.js';
import type { StepOptions } from './checkpoint.js';

/** One call of a step, and the other steps that it waits for. */
export interface Step {
  readonly id: string;
  readonly run: () => unknown;
  readonly options: StepOptions;
  /** The step in whose function it was called. */
  readonly outer: Step | undefined;
  readonly waitsFor: Set<Step>;
  /** The epoch of its workflow when it began. Undefined before, and where checkpoints cannot be used. */
  epoch: number | undefined;
  /** Whether its function has been called. It is not called again because checkpoints cannot be used. */
  hasRun: boolean;
  /** The lease that it holds: other processes wait for it. */
  lease: string | undefined;
}

/** One run of the function of a step. What the function calls belongs to it, also what it does not await. */
export interface StepRun {
  readonly step: Step;
  /** The lease under which it runs. */
  readonly lease: string | undefined;
  readonly outer: StepRun | undefined;
  /** `lost`: a save within it was refused, because another process holds the lease. */
  phase: 'running' | 'ended' | 'lost';
}

/** What a save within a step must hold. */
export interface SaveFence {
  readonly conditions: Pick<SaveConditions, 'epoch' | 'within'>;
  /** The run that `conditions.within` speaks of. */
  readonly run?: StepRun;
}

/** Of a save that belongs to no step. */
export const NO_FENCE: SaveFence = Object.freeze({ conditions: Object.freeze({}) });
/** No lease has this token, so that a save which must hold it is refused. */
const NO_LEASE = '';

/** As part of which run of a step the code of one app runs. */
export class StepScopes {
  private readonly storage = new AsyncLocalStorage<StepRun>();
  /** How many runs code may still belong to. */
  private reachable = 0;
  /**
   * Up to Node.js 22 a storage slows every promise of the process until it is disabled. The next step enables it again. What a
   * step has not awaited keeps its run from being collected.
   */
  private readonly collected = new FinalizationRegistry<undefined>(() => {
    if (--this.reachable === 0) this.storage.disable();
  });
  private hasEnded = false;

  /** The innermost step, also after its function has ended. */
  get current(): Step | undefined {
    return this.hasEnded ? undefined : this.storage.getStore()?.step;
  }

  /** Calls the function of a step. Returns how it ran, and when it has settled. */
  call(step: Step): { readonly run: StepRun; readonly ended: Promise<unknown> } {
    const run: StepRun = { step, lease: step.lease, outer: this.storage.getStore(), phase: 'running' };
    const call = async (): Promise<unknown> => {
      try {
        return await step.run();
      } finally {
        if (run.phase === 'running') run.phase = 'ended';
      }
    };
    if (this.hasEnded) return { run, ended: call() };
    this.reachable++;
    this.collected.register(run, undefined);
    return { run, ended: this.storage.run(run, call) };
  }

  /**
   * A save belongs to the steps around it that have the same `workflow`: it must be of their epoch, hold the lease of the
   * innermost exclusive one, and be called before the function of the innermost one ends. A save without a workflow
   * belongs to the exclusive steps without one.
   */
  fence(workflow: string | undefined): SaveFence {
    const around = runsAround(this.storage.getStore(), workflow);
    const holder = around.find(({ lease }) => lease !== undefined);
    const innermost = workflow === undefined ? holder : around[0];
    if (innermost === undefined) return NO_FENCE;
    const { epoch } = around.find(({ step }) => step.epoch !== undefined)?.step ?? {};
    const run = innermost.phase === 'running' ? holder : innermost;
    const token = innermost.phase === 'running' ? run?.lease : NO_LEASE;
    const conditions = {
      ...(workflow !== undefined && epoch !== undefined && { epoch }),
      ...(run !== undefined && token !== undefined && { within: { id: run.step.id, token } }),
    };
    return run === undefined ? { conditions } : { conditions, run };
  }

  /** The app has closed: nothing belongs to a step any more. */
  end(): void {
    this.hasEnded = true;
    this.storage.disable();
  }
}

/** The epoch in which a step must save: its own, or that of the nearest step around it in the same workflow. */
export function epochAround({ epoch, outer, options: { workflow } }: Step): number | undefined {
  if (epoch !== undefined || workflow === undefined) return epoch;
  for (let around = outer; around !== undefined; around = around.outer)
    if (around.options.workflow === workflow && around.epoch !== undefined) return around.epoch;
  return undefined;
}

/** Those with the same `workflow`, the innermost first. */
function runsAround(inner: StepRun | undefined, workflow: string | undefined): readonly StepRun[] {
  const found: StepRun[] = [];
  for (let run = inner; run !== undefined; run = run.outer) if (run.step.options.workflow === workflow) found.push(run);
  return found;
}
