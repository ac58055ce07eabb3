import type { LaneManager } from '../cache/lane-manager.js';
import type { Compute, ComputeContext, EntryOptions } from '../cache/call-options.js';
import type { FlightContext } from '../cache/in-flight/flight.js';
import { checkKey } from '../cache/validate-call.js';
import { checkTags } from '../entries/tags.js';
import type { Fault } from '../events/reasons.js';
import { callDuration, laneName } from '../lanes/lane-policy.js';
import type { LaneName } from '../lanes/policy.js';
import type { Duration } from '../lanes/units.js';
import { either, fn, type Kinds } from '../options/options-shape.js';
import {
  siteLabel,
  type AnyAsyncMethod,
  type AnyHost,
  type AsyncMethod,
  type DecorationSite,
  type OfCall,
  type OfResult,
} from './method-registry.js';
import { callGiven, tagSpec } from './option-checks.js';
import type { Advice, MethodCall } from './method-wrapper.js';
import { whyUnrendered, type Compiled, type FromCall, type TagSpec } from './specs.js';
import type { ListedClasses } from '../entries/arguments.js';

/** Rules that depend on the result of the method. */
interface ResultRules<M extends AsyncMethod = AnyAsyncMethod, C extends object = AnyHost> {
  /** true = the result is not stored (refused 'unless'). */
  readonly unless?: OfResult<boolean, M, C>;
  /** Tags in addition to `tags`. */
  readonly resultTags?: OfResult<readonly string[], M, C>;
  /** How long this result lives. */
  readonly ttl?: Duration | OfResult<Duration, M, C>;
}

/** The options of a decorator for the entries of a method `M` of a class `C`. */
export interface EntryRules<M extends AsyncMethod = AnyAsyncMethod, C extends object = AnyHost>
  extends Omit<EntryOptions, 'tags' | 'ttl' | 'signal'>, ResultRules<M, C> {
  /** Default: the app's lane. */
  readonly lane?: LaneName;
  /** Templates, or a function of the arguments. */
  readonly tags?: TagSpec<M, C>;
  /** false = the method runs uncached (bypassed 'condition'). */
  readonly condition?: OfCall<boolean, M, C>;
}

/** The rules that `@Cached` and `@CachePut` share. */
export const resultRules: Kinds<Pick<EntryRules, 'lane' | 'ttl' | 'tags' | 'resultTags' | 'condition' | 'unless'>> = {
  lane: laneName,
  ttl: either(callDuration, fn),
  tags: tagSpec,
  resultTags: fn,
  condition: fn,
  unless: fn,
};

/** The rules that are passed to the lane unchanged. */
export const LANE_RULES: readonly (keyof EntryOptions & keyof EntryRules)[] = [
  'grace',
  'graceBackoff',
  'refreshAhead',
  'softTimeout',
  'hardTimeout',
  'jitter',
  'isolation',
  'schema',
  'version',
  'forceFresh',
];

/** How the calls of a method become entries. */
export interface EntryPlan {
  readonly site: DecorationSite;
  readonly rules: EntryRules;
  readonly tags: Compiled<readonly string[]> | undefined;
  /** Undefined if no key can be made from the call. */
  readonly keyOf: (call: MethodCall, listed: ListedClasses) => string | undefined;
  /** Why `keyOf` gave none, as sentences. */
  readonly whyNoKey: (call: MethodCall, listed: ListedClasses) => string;
  /** Reads or writes the entry, once its key is known. */
  readonly ask: (lane: LaneManager, key: string, compute: Compute<unknown>, options: EntryOptions) => Promise<unknown>;
  /** Runs a call that has a key and is not stored. Default: the entry of the key, which is for other calls, stays as it is. */
  readonly runPast?: (lane: LaneManager, key: string, run: () => unknown) => Promise<unknown>;
}

/**
 * Runs the method through the cache; uncached, and counted as such, if `condition` is false, the call has no key, or a
 * function that says what the call is about throws or answers what has no meaning.
 */
export function entryAdvice(plan: EntryPlan): Advice {
  const { site, ask } = plan;
  const { lane, condition } = plan.rules;
  const label = siteLabel(site);
  const compute = computeWith(label, plan.rules);
  const optionsOf = entryOptions(plan);
  return (manager, call) => {
    const cache = lane === undefined ? manager : manager.forLane(lane);
    if (condition !== undefined && !applies(condition, cache, label, call))
      return runUnwanted(plan, cache, label, call);
    let key: string | undefined;
    let options: EntryOptions | undefined;
    try {
      key = keyFor(plan, call, cache);
      options = optionsOf(call);
    } catch (error) {
      cache.fault(faultOf(cache, `${label} ran uncached: its key or tags failed.`, error));
      cache.bypass('unkeyable-arguments', label);
      return runPast(plan, cache, key, call);
    }
    if (key !== undefined && options !== undefined) return ask(cache, key, compute(cache, call), options);
    cache.bypass('unkeyable-arguments', label);
    cache.warnOnce(label, () => `${label} ran uncached: ${whyUncached(plan, call, cache)}`);
    return runPast(plan, cache, key, call);
  };
}

/** The key of a call. Undefined if none can be made. Throws for a key that no lane takes. */
function keyFor({ keyOf }: EntryPlan, call: MethodCall, cache: LaneManager): string | undefined {
  const key = keyOf(call, cache);
  if (key === undefined || key === '') return undefined;
  checkKey(key, cache.lane);
  return key;
}

function whyUncached(plan: EntryPlan, call: MethodCall, cache: LaneManager): string {
  try {
    const isKeyed = keyFor(plan, call, cache) !== undefined;
    const unrendered = isKeyed ? whyUnrendered(plan.tags?.templates ?? [], call) : undefined;
    return unrendered ?? plan.whyNoKey(call, cache);
  } catch {
    // A function of the app was asked once more, and threw.
    return 'its key cannot be made.';
  }
}

function faultOf(cache: LaneManager, detail: string, error: unknown): Fault {
  return { collaborator: 'decorator', lane: cache.lane, detail, error };
}

/** Whether the call goes through the cache. False if the condition fails. */
function applies(
  condition: NonNullable<EntryRules['condition']>,
  cache: LaneManager,
  label: string,
  call: MethodCall,
): boolean {
  try {
    return callGiven(condition, call.args, call.host);
  } catch (error) {
    cache.fault(faultOf(cache, `${label} ran uncached: its condition failed.`, error));
    return false;
  }
}

/** Runs a call for which the condition is false. */
function runUnwanted(plan: EntryPlan, cache: LaneManager, label: string, call: MethodCall): Promise<unknown> {
  cache.bypass('condition', label);
  let key: string | undefined;
  try {
    if (plan.runPast !== undefined) key = keyFor(plan, call, cache);
  } catch (error) {
    cache.fault(faultOf(cache, `${label} ran uncached: its key failed.`, error));
  }
  return runPast(plan, cache, key, call);
}

function runPast(plan: EntryPlan, cache: LaneManager, key: string | undefined, call: MethodCall): Promise<unknown> {
  if (key === undefined || plan.runPast === undefined) return Promise.resolve(call.run());
  return plan.runPast(cache, key, call.run);
}

function entryOptions({ rules, tags }: EntryPlan): FromCall<EntryOptions> {
  const given = LANE_RULES.filter((name) => rules[name] !== undefined);
  const always: EntryOptions = Object.fromEntries(given.map((name) => [name, rules[name]]));
  const { ttl } = rules;
  const timed = ttl === undefined || typeof ttl === 'function' ? always : { ...always, ttl };
  if (tags === undefined) return constantly(timed);
  if (tags.constant !== undefined) return constantly({ ...timed, tags: tags.constant });
  return (call) => {
    const rendered = tags.of(call);
    if (rendered !== undefined) checkTags(rendered, rules.lane ?? 'of the app');
    // tags first: V8 takes twenty times as long to put a field behind what it spreads
    return rendered === undefined ? undefined : { tags: rendered, ...timed };
  };
}

/** One frozen object for all calls. */
function constantly(options: EntryOptions): FromCall<EntryOptions> {
  const frozen = Object.freeze(options);
  return () => frozen;
}

/** Turns a call into a computation for the cache that applies the rules to its result. */
function computeWith(label: string, rules: ResultRules): (cache: LaneManager, call: MethodCall) => Compute<unknown> {
  const { unless, resultTags, ttl } = rules;
  if (unless === undefined && resultTags === undefined && typeof ttl !== 'function') return (_, call) => call.run;
  return (cache, call) => async (context) => {
    const result = await call.run();
    const given = [result, ...call.args];
    const { host } = call;
    try {
      if (unless !== undefined && callGiven(unless, given, host)) refuse(context);
      if (resultTags !== undefined) context.setTags(callGiven(resultTags, given, host));
      if (typeof ttl === 'function') context.setTtl(callGiven(ttl, given, host));
    } catch (error) {
      const detail = `A result of ${label} was not stored: its unless, resultTags or ttl failed.`;
      cache.fault(faultOf(cache, detail, error));
      refuse(context);
    }
    return result;
  };
}

function refuse(context: ComputeContext): void {
  if (isFlight(context)) context.refuse('unless');
  else context.skipCache();
}

const isFlight = (context: ComputeContext): context is FlightContext => 'refuse' in context;
