import type { ResolvedLane } from '../lanes/policy.js';
import type { EntryView } from '../lanes/strategy.js';
import type { EntryRow, LaneRules } from '../storage/entries/entry-tables.js';

/** The rules of the lanes that use the tier. */
export function diskRules(tier: 'l2' | 'l3', lanes: ReadonlyMap<string, ResolvedLane>): ReadonlyMap<string, LaneRules> {
  const rules = new Map<string, LaneRules>();
  for (const [lane, resolved] of lanes) {
    if (resolved.policy[tier].enabled) rules.set(lane, rulesOf(tier, lane, resolved));
  }
  return rules;
}

function rulesOf(tier: 'l2' | 'l3', lane: string, { policy, strategy }: ResolvedLane): LaneRules {
  const { maxEntries, maxBytes } = policy[tier];
  return {
    maxEntries,
    maxBytes,
    ...(policy.compression.enabled && { compressFrom: policy.compression.minBytes }),
    ...(strategy !== undefined && {
      priority: (row, now) => strategy.getEvictionPriority(lane, viewOf(tier, row, now)),
    }),
  };
}

/** A stored entry as a strategy, a listing or a page sees it. */
export function viewOf(tier: 'l2' | 'l3', row: EntryRow, now: number): EntryView {
  const { key, tags, sizeBytes, computeMs, accessCount } = row;
  return {
    key,
    tags,
    tier,
    sizeBytes,
    computeMs,
    accessCount,
    ageMs: Math.max(0, now - row.landedAt),
    idleMs: Math.max(0, now - row.touchedAt),
    remainingMs: Math.max(0, row.expiresAt - now),
  };
}
