import { LaneCacheError } from '../errors/lane-cache.error.js';
import { BUILT_IN_LANES } from './built-in-lanes.js';
import { freezePolicy, checkTogether, openLane, readLane } from './lane-policy.js';
import type { LaneFields } from './lane-fields.js';
import { LaneType, type LanePolicyInput, type ResolvedLane } from './policy.js';

const LANE_NAME = /^[a-z][a-z0-9_-]{0,63}$/i;

/**
 * All lanes of an app, the built-in ones first: merged field by field along `extends`, validated, deeply frozen.
 * Throws LANE_INVALID with the lane and the field.
 */
export function resolveLanes(lanes: Readonly<Record<string, LanePolicyInput>> = {}): ReadonlyMap<string, ResolvedLane> {
  const ancestry = new Ancestry(openLanes(lanes));
  return new Map(ancestry.names.map((lane) => [lane, ancestry.resolve(lane)]));
}

/** Checks every field of a lane and returns the same object. Throws LANE_INVALID with the field. */
export function defineLane(policy: LanePolicyInput): LanePolicyInput {
  const fields = openLane(undefined, '', policy);
  checkName(fields.text('extends', LaneType.Standard), 'extends', undefined);
  readLane(fields, '', builtInLane(LaneType.Standard));
  return policy;
}

/** Resolves each lane once, after the lane that it extends. */
class Ancestry {
  readonly names: readonly string[];
  private readonly resolved = new Map<string, ResolvedLane>();

  constructor(private readonly written: ReadonlyMap<string, LaneFields>) {
    this.names = [...new Set([...BUILT_IN_LANES.map(({ lane }) => lane), ...written.keys()])];
  }

  /** `heirs` are the lanes that extend this one and are being resolved, outermost first. */
  resolve(lane: string, heirs: readonly string[] = []): ResolvedLane {
    const done = this.resolved.get(lane);
    if (done !== undefined) return done;
    const fields = this.written.get(lane);
    const own = fields === undefined ? builtInLane(lane) : this.inherit(lane, fields, heirs);
    const frozen = Object.freeze({ policy: freezePolicy(own.policy), strategy: own.strategy });
    this.resolved.set(lane, frozen);
    return frozen;
  }

  private inherit(lane: string, fields: LaneFields, heirs: readonly string[]): ResolvedLane {
    const isBuiltIn = BUILT_IN_LANES.some((policy) => policy.lane === lane);
    const parent = fields.text('extends', isBuiltIn ? lane : LaneType.Standard);
    const own = readLane(
      fields,
      lane,
      isBuiltIn && parent === lane ? builtInLane(lane) : this.parent(parent, fields, [...heirs, lane]),
    );
    checkTogether(fields, own);
    return own;
  }

  private parent(name: string, fields: LaneFields, heirs: readonly string[]): ResolvedLane {
    if (heirs.includes(name)) {
      throw fields.invalid('extends', `goes in a circle (${[...heirs, name].join(' -> ')})`);
    }
    if (!this.names.includes(name)) {
      throw fields.invalid('extends', `must name one of ${this.names.join(', ')}`, name);
    }
    return this.resolve(name, heirs);
  }
}

function openLanes(lanes: unknown): ReadonlyMap<string, LaneFields> {
  if (typeof lanes !== 'object' || lanes === null || Array.isArray(lanes)) {
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
  return { policy, strategy: undefined };
}
