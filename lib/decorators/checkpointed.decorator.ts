import type { LaneManager } from '../cache/lane-manager.js';
import type { SaveCheckpointOptions } from '../checkpoints/checkpoint.js';
import type { CheckpointService } from '../checkpoints/checkpoint-service.js';
import { isLaneCacheError } from '../errors/lane-cache.error.js';
import type { Duration } from '../lanes/units.js';
import {
  type AnyAsyncMethod,
  type AnyHost,
  type AsyncMethod,
  type AsyncMethodDecorator,
  decorationSite,
  siteLabel,
  type DecorationSite,
  type OfCall,
  register,
} from './method-registry.js';
import { callGiven, OF_DECORATORS, readOptions, type GivenFunction } from './option-checks.js';
import { wrapMethod, type MethodCall } from './method-wrapper.js';
import { callDuration, laneName } from '../lanes/lane-policy.js';
import {
  either,
  finite,
  fn,
  inWords,
  nonEmpty,
  oneOf,
  required,
  text,
  defineOptions,
} from '../options/options-shape.js';

/** The checkpoint that a workflow step restores or saves. */
export interface CheckpointedOptions<M extends AsyncMethod = AnyAsyncMethod, C extends object = AnyHost> extends Pick<
  SaveCheckpointOptions,
  'lane' | 'ttl'
> {
  /** Called with the method's `this`. */
  readonly id: OfCall<string, M, C>;
  readonly workflow?: string | OfCall<string, M, C>;
  readonly step?: number | string | OfCall<number | string, M, C>;
  /** An older checkpoint counts as absent. */
  readonly maxAge?: Duration;
  /**
   * When this process may not write checkpoints: 'throw' before the step runs, or 'run' it unsaved. Default 'throw'.
   */
  readonly onUnavailable?: 'throw' | 'run';
}

const CHECKPOINTED_OPTIONS = defineOptions<CheckpointedOptions>(
  '@Checkpointed',
  {
    id: required(inWords('a function that gives the id of the checkpoint', fn)),
    lane: laneName,
    ttl: callDuration,
    workflow: either(nonEmpty, fn),
    step: either(either(finite, text), fn),
    maxAge: callDuration,
    onUnavailable: oneOf('throw', 'run'),
  },
  OF_DECORATORS,
);

/**
 * Restores a step's result from its checkpoint if there is one; else runs the step, and resolves once its result is
 * saved. Concurrent calls with one id run the step once, and each gets its own copy of the result.
 *
 * A step that returns `undefined` saves nothing and runs again. A damaged checkpoint rejects with
 * `CheckpointDamagedError`: remove it, or restore an older version, to go on. Throws DECORATOR_INVALID when the class
 * is declared.
 */
export function Checkpointed<M extends AsyncMethod = AnyAsyncMethod, C extends object = AnyHost>(
  given: CheckpointedOptions<NoInfer<M>, NoInfer<C>>,
): AsyncMethodDecorator<M, C> {
  return <Any extends AsyncMethod>(
    target: object,
    method: string | symbol,
    descriptor: TypedPropertyDescriptor<Any>,
  ) => {
    const site = decorationSite('@Checkpointed', target, method, descriptor);
    const options = readOptions(site, given, CHECKPOINTED_OPTIONS);
    register({ site, lane: options.lane, templates: [] });
    const step = new CheckpointedStep(site, options);
    return wrapMethod(site, descriptor, (manager, call) => step.run(manager, call));
  };
}

class CheckpointedStep {
  /** Steps in progress by id, per app, so that two apps do not wait for each other. */
  private readonly running = new WeakMap<CheckpointService, Map<string, Promise<unknown>>>();
  private readonly mayRunUnsaved: boolean;

  constructor(
    private readonly site: DecorationSite,
    private readonly options: CheckpointedOptions,
  ) {
    this.mayRunUnsaved = options.onUnavailable === 'run';
  }

  run(manager: LaneManager, call: MethodCall): Promise<unknown> {
    const id = settingOf(this.options.id, call);
    const running = this.runningIn(manager.snapshots);
    const current = running.get(id);
    if (current !== undefined) return this.join(manager, id, current);
    const work = this.restoreOrRun(manager, id, call).finally(() => running.delete(id));
    running.set(id, work);
    return work;
  }

  private async join(manager: LaneManager, id: string, work: Promise<unknown>): Promise<unknown> {
    const result = await work;
    return (await this.restore(manager, id)) ?? result;
  }

  private async restoreOrRun(manager: LaneManager, id: string, call: MethodCall): Promise<unknown> {
    const restored = await this.restore(manager, id);
    if (restored !== undefined) return restored;
    const result = await call.run();
    if (result !== undefined) await this.save(manager, id, result, call);
    return result;
  }

  private async restore(manager: LaneManager, id: string): Promise<unknown> {
    const { maxAge } = this.options;
    return this.unlessUnavailable(manager, () =>
      manager.snapshots.restoreCheckpoint(id, maxAge === undefined ? {} : { maxAge }),
    );
  }

  private async save(manager: LaneManager, id: string, state: unknown, call: MethodCall): Promise<void> {
    const { lane, ttl, workflow, step } = this.options;
    const labels: SaveCheckpointOptions = {
      ...(lane !== undefined && { lane }),
      ...(ttl !== undefined && { ttl }),
      ...(workflow !== undefined && { workflow: settingOf(workflow, call) }),
      ...(step !== undefined && { step: settingOf(step, call) }),
    };
    await this.unlessUnavailable(manager, () => manager.snapshots.cacheCheckpoint(id, state, labels));
  }

  private async unlessUnavailable<T>(manager: LaneManager, use: () => Promise<T>): Promise<T | undefined> {
    try {
      return await use();
    } catch (error) {
      const unavailable = isLaneCacheError(error, 'CHECKPOINTS_UNAVAILABLE') || isLaneCacheError(error, 'CLOSED');
      if (!unavailable || !this.mayRunUnsaved) throw error;
      const label = siteLabel(this.site);
      manager.warnOnce(label, `${label} runs without its checkpoint: ${error.message}`);
      return undefined;
    }
  }

  private runningIn(checkpoints: CheckpointService): Map<string, Promise<unknown>> {
    let running = this.running.get(checkpoints);
    if (running === undefined) {
      running = new Map();
      this.running.set(checkpoints, running);
    }
    return running;
  }
}

/** The setting, or its result for this call if it is a function. */
function settingOf<T extends string | number>(setting: T | GivenFunction<T>, call: MethodCall): T {
  return typeof setting === 'function' ? callGiven(setting, call.args, call.host) : setting;
}
