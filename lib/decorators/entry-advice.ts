import type { LaneManager } from '../cache/lane-manager.js';
import type { Compute, EntryOptions } from '../cache/call-options.js';
import { callDuration, laneName } from '../lanes/option-kinds.js';
import type { LaneName } from '../lanes/policy.js';
import { either, fn } from '../options/kinds.js';
import type { Kinds } from '../options/options-shape.js';
import { siteLabel, type DecorationSite } from './method-registry.js';
import { callGiven, computeWith, tagSpec, type ResultRules } from './option-checks.js';
import type { Advice, MethodCall } from './method-wrapper.js';
import type { Compiled, FromArguments, TagSpec } from './specs.js';

/** The options of a decorator for the entries of a method. */
export interface EntryRules extends Omit<EntryOptions, 'tags' | 'ttl' | 'signal'>, ResultRules {
  /** Default: the app's lane. */
  readonly lane?: LaneName;
  /** Templates or a function of the arguments. */
  readonly tags?: TagSpec;
  /** false = the method runs uncached (bypassed 'condition'). */
  readonly condition?: (...args: never[]) => boolean;
}

/** Those that `@Cached` and `@CachePut` share. */
export const resultRules: Kinds<Pick<EntryRules, 'lane' | 'ttl' | 'tags' | 'resultTags' | 'condition' | 'unless'>> = {
  lane: laneName,
  ttl: either(callDuration, fn),
  tags: tagSpec,
  resultTags: fn,
  condition: fn,
  unless: fn,
};

/** Those of the rules that the lane itself reads, as they are. */
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

/** How a method's calls become entries, made ready once. */
export interface EntryPlan {
  readonly site: DecorationSite;
  readonly rules: EntryRules;
  readonly tags: Compiled<readonly string[]> | undefined;
  /** Undefined if the call gives no key. */
  readonly keyOf: (call: MethodCall) => string | undefined;
  /** What is asked of the lane once the key is known. */
  readonly ask: (lane: LaneManager, key: string, compute: Compute<unknown>, options: EntryOptions) => Promise<unknown>;
}

const UNKEYABLE =
  'an argument that its key or tags are made from is missing, or no key can be made from it (a request, a stream, a function, an instance of a class). ' +
  'Give it a key that names what the result depends on.';

/** A call without a key, or one that its `condition` keeps away, runs the method uncached and is counted. */
export function entryAdvice(plan: EntryPlan): Advice {
  const { site, keyOf, ask } = plan;
  const { lane, condition } = plan.rules;
  const label = siteLabel(site);
  const compute = computeWith(plan.rules);
  const optionsOf = entryOptions(plan);
  return (manager, call) => {
    const cache = lane === undefined ? manager : manager.forLane(lane);
    if (condition !== undefined && !callGiven(condition, call.args)) {
      cache.bypass('condition', label);
      return Promise.resolve(call.run());
    }
    const key = keyOf(call);
    const options = optionsOf(call.args);
    if (key !== undefined && key !== '' && options !== undefined) return ask(cache, key, compute(call), options);
    cache.bypass('unkeyable-arguments', label);
    cache.warnOnce(label, `${label} ran uncached: ${UNKEYABLE}`);
    return Promise.resolve(call.run());
  };
}

function entryOptions({ rules, tags }: EntryPlan): FromArguments<EntryOptions> {
  const given = LANE_RULES.filter((name) => rules[name] !== undefined);
  const always: EntryOptions = Object.fromEntries(given.map((name) => [name, rules[name]]));
  const { ttl } = rules;
  const timed = ttl === undefined || typeof ttl === 'function' ? always : { ...always, ttl };
  if (tags === undefined) return constantly(timed);
  if (tags.constant !== undefined) return constantly({ ...timed, tags: tags.constant });
  return (args) => {
    const rendered = tags.of(args);
    // tags first: V8 takes twenty times as long to put a field behind what it spreads
    return rendered === undefined ? undefined : { tags: rendered, ...timed };
  };
}

/** One frozen object for all calls. */
function constantly(options: EntryOptions): FromArguments<EntryOptions> {
  const frozen = Object.freeze(options);
  return () => frozen;
}
