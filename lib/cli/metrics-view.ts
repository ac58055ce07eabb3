import { TIER_NAMES } from '../entries/tier-name.js';
import type { LaneMetrics, TierMetrics } from '../events/lane-metrics.js';
import type { CachePolicy } from '../lanes/policy.js';
import type { Terminal } from './terminal.js';
import {
  bytesText,
  countText,
  fittedTable,
  many,
  percentText,
  spanText,
  wrapped,
  type Cell,
  type Column,
} from './texts.js';

type Paint = Terminal['paint'];

const HEADS: readonly Column[] = [
  { head: 'tier' },
  { head: 'state' },
  { head: 'entries' },
  { head: 'size' },
  { head: 'hits' },
  { head: 'misses', leftOut: 2 },
  { head: 'hit rate' },
  { head: 'evicted', leftOut: 1 },
  { head: 'expired', leftOut: 3 },
  { head: 'errors' },
];

/** A lane as text: a headline, then a table of its tiers. */
export function metricsText(
  metrics: LaneMetrics,
  { paint, columns }: Pick<Terminal, 'paint' | 'columns'>,
  detail: 'short' | 'full',
): string {
  const { lane, requests } = metrics;
  const used = TIER_NAMES.filter((tier) => metrics[tier].reason !== 'policy');
  const rows = used.map((tier) => tierRow(tier, metrics[tier], paint));
  const isIdle = requests === 0 && used.every((tier) => metrics[tier].entries === 0);
  if (isIdle && detail === 'short') return `${paint('bold', lane)}  ${paint('dim', 'no requests yet')}`;
  const lines = [
    wrapped(`${paint('bold', lane)}  ${headline(metrics, paint)}`, columns, '  '),
    fittedTable(columns, HEADS, rows),
  ];
  if (detail === 'full') lines.push(...details(metrics).map((line) => wrapped(line, columns, '  ')));
  return lines.join('\n');
}

function headline(metrics: LaneMetrics, paint: Paint): string {
  const { requests, hitRate, speedUp, timeSavedMs, policy } = metrics;
  if (requests === 0) return paint('dim', 'no requests yet');
  const target = policy.targets.hitRate;
  const isLow = target !== null && hitRate < target[0];
  const rate = paint(isLow ? 'yellow' : 'green', percentText(hitRate));
  const aim = target === null ? '' : paint('dim', ` (target ${target[0]}-${target[1]} %)`);
  const saved = timeSavedMs > 0 ? `, ${spanText(timeSavedMs)} saved, ${speedUp.toFixed(1)}x faster` : '';
  return `${many(requests, 'request')}, ${rate} answered from the cache${aim}${saved}`;
}

function tierRow(name: string, tier: TierMetrics, paint: Paint): readonly Cell[] {
  const { state, reason, entries, sizeBytes, hits, misses, hitRate, evictions, expirations, errors } = tier;
  const shown = state === 'on' ? paint('green', 'on') : paint('yellow', `off: ${reason ?? 'unknown'}`);
  const wasLookedUp = hits + misses > 0;
  return [
    name,
    shown,
    countText(entries),
    bytesText(sizeBytes),
    countText(hits),
    countText(misses),
    wasLookedUp ? percentText(hitRate) : '-',
    countText(evictions),
    countText(expirations),
    errors > 0 ? paint('red', countText(errors)) : '0',
  ];
}

function details(metrics: LaneMetrics): string[] {
  const { computed, failed, abandoned, joined, staleServed, avgComputeMs, policy } = metrics;
  const givenUp = abandoned > 0 ? `; given up and still running ${countText(abandoned)}` : '';
  const average = computed > 0 ? `, ${spanText(avgComputeMs)} each` : '';
  return [
    `computed ${countText(computed)}${average}; failed ${countText(failed)}${givenUp}; joined another computation ${countText(joined)}; stale served ${countText(staleServed)}`,
    ...counts('went past the cache', metrics.bypassed),
    ...counts('not stored', metrics.refused),
    ...counts('invalidated', metrics.invalidations),
    ...evictionText(metrics),
    policyText(policy),
    ...(policy.useCases.length > 0 ? [`use cases: ${policy.useCases.join(', ')}`] : []),
  ];
}

function counts(what: string, byReason: Readonly<Record<string, number>>): string[] {
  const present = Object.entries(byReason).filter(([, count]) => count > 0);
  return present.length === 0
    ? []
    : [`${what}: ${present.map(([reason, count]) => `${reason} ${countText(count)}`).join(', ')}`];
}

/** What the policies would save: of use to who decides between them. */
function evictionText({ eviction: { leader, shadows }, timeSavedRate }: LaneMetrics): string[] {
  if (leader === undefined || shadows === undefined) return [];
  const each = Object.entries(shadows).map(([name, share]) => `${name} ${percentText(share)}`);
  return [
    `time saved ${percentText(timeSavedRate)}; each policy would save of late: ${each.join(', ')}; best is ${leader}`,
  ];
}

function policyText({ l1, l2, l3, ttlMs, maxEntryBytes, eviction, compression }: CachePolicy): string {
  const disk = [l2.enabled ? [`l2 ${limits(l2)}`] : [], l3.enabled ? [`l3 ${limits(l3)}`] : []].flat();
  const rules = [
    `l1 ${limits(l1)}`,
    ...disk,
    `entries up to ${bytesText(maxEntryBytes)}`,
    `ttl ${spanText(ttlMs)}`,
    eviction,
  ];
  return `policy: ${[...rules, ...(compression.enabled ? [`compressed by ${compression.codec}`] : [])].join(', ')}`;
}

function limits({ maxEntries, maxBytes }: CachePolicy['l1']): string {
  return `${countText(maxEntries)} / ${bytesText(maxBytes)}`;
}
