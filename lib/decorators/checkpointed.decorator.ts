import type { StepOptions } from '../checkpoints/checkpoint.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import {
  type AnyAsyncMethod,
  type AnyHost,
  type AsyncMethod,
  type AsyncMethodDecorator,
  siteLabel,
  type DecorationSite,
  type OfCall,
  register,
} from './method-registry.js';
import { callGiven, OF_DECORATORS, readOptions, type GivenFunction } from './option-checks.js';
import { methodDecorator, type Advice, type MethodCall } from './method-wrapper.js';
import { compileKey } from './specs.js';
import { callDuration, laneName } from '../lanes/lane-policy.js';
import {
  defined,
  either,
  finite,
  flag,
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
  StepOptions,
  'lane' | 'ttl' | 'maxAge' | 'exclusive' | 'onUnavailable'
> {
  /** A template, as the `key` of `@Cached`, or a function that is called with the method's `this`. */
  readonly id: string | OfCall<string, M, C>;
  /** The workflow that the step belongs to: its name, or a function of the arguments. */
  readonly workflow?: string | OfCall<string, M, C>;
  /** The label of the step, or a function of the arguments. */
  readonly step?: number | string | OfCall<number | string, M, C>;
}

const CHECKPOINTED_OPTIONS = defineOptions<CheckpointedOptions>(
  '@Checkpointed',
  {
    id: required(inWords('a template or a function that gives the id of the checkpoint', either(nonEmpty, fn))),
    lane: laneName,
    ttl: callDuration,
    workflow: either(nonEmpty, fn),
    step: either(either(finite, text), fn),
    maxAge: callDuration,
    exclusive: flag,
    onUnavailable: oneOf('throw', 'run'),
  },
  OF_DECORATORS,
);

/**
 * Restores a step's result from its checkpoint if there is one; else runs the step, and resolves once its result is
 * saved. All callers with one id end with the one saved result, in whatever process they are: see `runStep`.
 *
 * A step that throws, or returns `undefined`, saves nothing and runs again. A call without an id (a template's value is
 * missing, or the function throws) rejects before the method runs. A damaged checkpoint rejects with
 * `CheckpointDamagedError`: remove it, or restore an older version, to go on. Throws DECORATOR_INVALID when the class
 * is declared.
 *
 * @example
 * ```ts
 * class NightlyJob {@Checkpointed({ id: '{0}:load', workflow: (run: string) => run })
 *   async load(run: string): Promise<{ rows: number }> {
 *     return { rows: 12 };
 *   }
 * }
 * ```
 */
export function Checkpointed<M extends AsyncMethod = AnyAsyncMethod, C extends object = AnyHost>(
  given: CheckpointedOptions<NoInfer<M>, NoInfer<C>>,
): AsyncMethodDecorator<M, C> {
  return methodDecorator('@Checkpointed', (site) => {
    const options = readOptions(site, given, CHECKPOINTED_OPTIONS);
    const { id } = options;
    const template = typeof id === 'string' ? compileKey(site, id, 'key') : undefined;
    const templates = template?.templates ?? [];
    register({ site, lane: options.lane, templates, storesUnder: templates[0] });
    const idOf = (call: MethodCall): string | undefined =>
      typeof id === 'string' ? template?.of(call) : callGiven(id, call.args, call.host);
    return stepAround(site, options, idOf);
  });
}

function stepAround(
  site: DecorationSite,
  options: CheckpointedOptions,
  idOf: (call: MethodCall) => string | undefined,
): Advice {
  const { lane, ttl, workflow, step, maxAge, exclusive, onUnavailable } = options;
  return (manager, call) => {
    const id = idOf(call);
    if (id === undefined) throw withoutId(site);
    const labels = {
      workflow: workflow === undefined ? undefined : settingOf(workflow, call),
      step: step === undefined ? undefined : settingOf(step, call),
    };
    return manager.snapshots.runStep(id, call.run, defined({ lane, ttl, maxAge, exclusive, onUnavailable, ...labels }));
  };
}

const withoutId = (site: DecorationSite): LaneCacheError =>
  new LaneCacheError(
    'CHECKPOINT_INVALID',
    `${siteLabel(site)} has no id for this call: an argument that the template names is missing or is no text, number, bigint or boolean.`,
    { field: 'id' },
  );

/** The setting, or its result for this call if it is a function. */
function settingOf<T extends string | number>(setting: T | GivenFunction<T>, call: MethodCall): T {
  return typeof setting === 'function' ? callGiven(setting, call.args, call.host) : setting;
}
