import { LaneCacheError } from '../errors/lane-cache.error.js';
import { BUILT_IN_LANES } from './built-in-lanes.js';
import { checkTogether, freezePolicy, laneError, openLane, readLane } from './lane-policy.js';
import { LaneType, type LanePolicyInput, type ResolvedLane } from './policy.js';
import { looksLikeMilliseconds, type Duration } from './units.js';
import { isBag } from '../options/options-shape.js';

const LANE_NAME = /^[a-z][a-z0-9_-]{0,63}$/i;

/**
 * All lanes of an app, the built-in ones first: merged field by field along `extends`, validated, deeply frozen.
 * Throws LANE_INVALID with the lane and the field.
 */
export function resolveLanes(lanes: Readonly<Record<string, LanePolicyInput>> = {}): ReadonlyMap<string, ResolvedLane> {
  const ancestry = new Ancestry(openLanes(lanes));
  return new Map(ancestry.names.map((lane) => [lane, ancestry.resolve(lane)]));
}

/**
 * Checks every field of a lane and returns the same object. Throws LANE_INVALID with the field.
 *
 * @example
 * ```ts
 * const models = defineLane({ extends: 'heavy', ttl: '6h', l3: { maxBytes: '2GB' } });
 *
 * LaneCacheModule.forRoot({ lanes: { models } });
 * ```
 */
export function defineLane(policy: LanePolicyInput): LanePolicyInput {
  const written = openLane(undefined, '', policy);
  checkName(written.extends ?? LaneType.Standard, 'extends', undefined);
  return policy;
}

/** Resolves each lane once, after the lane that it extends. */
class Ancestry {
  readonly names: readonly string[];
  private readonly resolved = new Map<string, ResolvedLane>();

  constructor(private readonly written: ReadonlyMap<string, LanePolicyInput>) {
    this.names = [...new Set([...BUILT_IN_LANES.map(({ lane }) => lane), ...written.keys()])];
  }

  /** `heirs` are the lanes that extend this one and are being resolved, outermost first. */
  resolve(lane: string, heirs: readonly string[] = []): ResolvedLane {
    const done = this.resolved.get(lane);
    if (done !== undefined) return done;
    const written = this.written.get(lane);
    const own = Object.freeze(written === undefined ? builtInLane(lane) : this.inherit(lane, written, heirs));
    this.resolved.set(lane, own);
    return own;
  }

  private inherit(lane: string, written: LanePolicyInput, heirs: readonly string[]): ResolvedLane {
    const parent = parentOf(lane, written);
    const base = parent === lane && isBuiltIn(lane) ? builtInLane(lane) : this.parent(parent, lane, heirs);
    const own = readLane(written, lane, base);
    checkTogether(`lanes.${lane}`, own);
    return { policy: freezePolicy(own.policy), strategy: own.strategy, eviction: undefined };
  }

  private parent(name: string, heir: string, heirs: readonly string[]): ResolvedLane {
    const all = [...heirs, heir];
    const field = `lanes.${heir}.extends`;
    if (all.includes(name)) throw laneError(heir, field, `goes in a circle (${[...all, name].join(' -> ')})`);
    if (!this.names.includes(name)) {
      throw laneError(heir, field, `must name one of ${this.names.join(', ')}, not '${name.slice(0, 64)}'`);
    }
    return this.resolve(name, all);
  }
}

function openLanes(lanes: unknown): ReadonlyMap<string, LanePolicyInput> {
  if (!isBag(lanes)) {
    throw new LaneCacheError('LANE_INVALID', `'lanes' must be an object of lanes by name.`, { field: 'lanes' });
  }
  return new Map(
    Object.entries(lanes).map(([lane, written]) => {
      const path = `lanes.${lane}`;
      checkName(lane, path, lane);
      return [lane, openLane(lane, path, written)];
    }),
  );
}

function checkName(name: string, field: string, lane: string | undefined): void {
  if (LANE_NAME.test(name)) return;
  const message = `'${name.slice(0, 80)}' is not a name for a lane. A name is a letter, then up to 63 letters, digits, '_' and '-'.`;
  throw new LaneCacheError('LANE_INVALID', message, { lane, field });
}

function builtInLane(name: string): ResolvedLane {
  const policy = BUILT_IN_LANES.find(({ lane }) => lane === name);
  if (policy === undefined)
    throw new LaneCacheError('LANE_INVALID', `There is no built-in lane '${name}'.`, { lane: name });
  return { policy, strategy: undefined, eviction: undefined };
}

const isBuiltIn = (name: string): boolean => BUILT_IN_LANES.some(({ lane }) => lane === name);

/** Itself, for a built-in lane that extends no other. */
const parentOf = (lane: string, written: LanePolicyInput): string =>
  written.extends ?? (isBuiltIn(lane) ? lane : LaneType.Standard);

/** The lanes whose ttl was probably meant in milliseconds, by that of the lane that each extends. */
export function lanesInMilliseconds(
  lanes: Readonly<Record<string, LanePolicyInput>>,
  resolved: ReadonlyMap<string, ResolvedLane>,
): readonly (readonly [lane: string, ttl: Duration])[] {
  return Object.entries(lanes).flatMap(([lane, { ttl, ...written }]) => {
    const parent = parentOf(lane, written);
    const base = parent === lane ? builtInLane(lane) : resolved.get(parent);
    const suspect = ttl !== undefined && looksLikeMilliseconds(ttl, base?.policy.ttlMs ?? 0);
    return suspect ? [[lane, ttl] as const] : [];
  });
}
