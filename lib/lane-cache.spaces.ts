import type { CacheParts, LaneSpace } from './cache/lane-space.js';
import { laneTerms } from './cache/terms.js';
import { TierGate } from './cache/tier-gate.js';
import { KeyPattern } from './entries/pattern.js';
import type { InvalidationLog } from './invalidation/invalidation-log.js';
import type { Disk } from './lane-cache.disk.js';
import type { Shared } from './lane-cache.distributed.js';
import type { Foundations } from './lane-cache.foundations.js';
import type { AppTiers } from './lane-cache.tiers.js';
import { OffTier } from './tiers/off-tier.js';

const READ_DEADLINE_MS = 1_000;
const REMOVE_DEADLINE_MS = 10_000;

/** What the lanes share, and each lane at work over it. */
export interface Spaces {
  readonly parts: CacheParts;
  readonly spaces: ReadonlyMap<string, LaneSpace>;
}

export function openSpaces(
  foundations: Foundations,
  tiers: AppTiers,
  log: InvalidationLog,
  disk: Disk,
  shared: Shared | undefined,
): Spaces {
  const { clock, life, codec, events, scopes, warnOnce, options } = foundations;
  const parts: CacheParts = {
    clock,
    life,
    codec,
    events,
    warnOnce,
    log,
    below: gatesOf(foundations, tiers),
    memory: tiers.l1,
    persistence: disk.persistence,
    shared: shared?.log,
    turns: shared?.turns,
    appVersion: options.version ?? '',
    scopes,
  };
  return { parts, spaces: spacesOf(foundations, tiers, parts) };
}

function gatesOf({ clock, events, recorder }: Foundations, { l2, l3, l4 }: AppTiers): readonly TierGate[] {
  const options = { clock, events, recorder, readDeadlineMs: READ_DEADLINE_MS, removeDeadlineMs: REMOVE_DEADLINE_MS };
  return [l2, l3, l4]
    .filter((tier) => !(tier instanceof OffTier))
    .map((tier) => {
      // the distributed tier has a deadline of its own
      const readDeadlineMs = tier.name === 'l4' ? Infinity : READ_DEADLINE_MS;
      return new TierGate(tier, { ...options, readDeadlineMs });
    });
}

function spacesOf(
  { lanes, recorder, recent }: Foundations,
  tiers: AppTiers,
  parts: CacheParts,
): ReadonlyMap<string, LaneSpace> {
  const patterns = (texts: readonly string[]): readonly KeyPattern[] => texts.map((text) => new KeyPattern(text));
  const spaces = new Map<string, LaneSpace>();
  for (const [lane, { policy, strategy }] of lanes) {
    spaces.set(lane, {
      lane,
      policy,
      strategy,
      parts,
      terms: laneTerms(policy),
      recorder: recorder(lane),
      recent: recent(lane),
      include: patterns(policy.include),
      exclude: patterns(policy.exclude),
      memory: tiers.l1.space(lane),
    });
  }
  return spaces;
}
