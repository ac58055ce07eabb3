import type { LaneMetrics } from '../../events/lane-metrics.js';
import { spanText } from '../texts.js';
import type { Finding } from './findings.js';

/** With fewer requests, the counters of a lane mean nothing. */
const MEANINGFUL_REQUESTS = 20;
/** With fewer requests, a low hit rate means nothing. */
const MANY_REQUESTS = 100;
const POOR_HIT_RATE = 30;
const MOST = 0.5;
const SOME = 0.1;
const DAY_MS = 86_400_000;

/** What is wrong with a lane according to its counters. */
export function laneFindings(metrics: LaneMetrics): readonly Finding[] {
  const found = [
    ...tierFindings(metrics),
    ...bypassFindings(metrics),
    ...refusalFindings(metrics),
    ...missFindings(metrics),
    ...staleFindings(metrics),
  ];
  return found.map((finding) => ({ lane: metrics.lane, ...finding }));
}

const TIER_ADVICE: Readonly<Record<string, string>> = {
  breaker: 'It is retried automatically. If it stays off, check the volume and the log of the app.',
  'disk-full': "Free space on the volume, or lower 'storage.minFreeBytes'.",
  'read-only': "Make the directory writable for the app's user.",
  quarantined: 'It comes back automatically; if it does not, check the volume.',
  'in-use': 'Another process owns the directory. This one takes over when that one ends.',
  disconnected: 'Check the server and its address.',
};

function tierFindings(metrics: LaneMetrics): readonly Finding[] {
  return (['l2', 'l3', 'l4'] as const).flatMap((name): Finding[] => {
    const { state, reason, since, errors } = metrics[name];
    const advice = reason === undefined ? undefined : TIER_ADVICE[reason];
    if (state === 'off' && advice !== undefined) {
      const evidence = `${name} is off (${reason ?? ''})${since === undefined ? '' : ` since ${since}`}`;
      return [{ code: 'TIER_OFF', severity: 'error', evidence, advice }];
    }
    if (errors === 0) return [];
    const evidence = `${name} failed or found damage ${errors} times`;
    return [{ code: 'TIER_ERRORS', severity: 'warning', evidence, advice: "Run 'verify', and check the volume." }];
  });
}

const BYPASS_ADVICE: Readonly<Record<string, string>> = {
  excluded: "The lane's 'include' and 'exclude' patterns exclude these keys: change the patterns.",
  'ttl-zero': "The ttl is 0, which stores nothing: set the lane's 'ttl', or that of the calls.",
  forced: "Most calls set 'forceFresh': leave it out where an older value is acceptable.",
  condition: "The 'condition' of decorators returns false: check what it tests.",
  'unkeyable-arguments': "No key can be made from the arguments of methods: give @Cached a 'key'.",
};

function bypassFindings({ requests, bypassed }: LaneMetrics): readonly Finding[] {
  if (requests < MEANINGFUL_REQUESTS) return [];
  return Object.entries(BYPASS_ADVICE).flatMap(([reason, advice]): Finding[] => {
    const count: number = Object.entries(bypassed).find(([name]) => name === reason)?.[1] ?? 0;
    if (count / requests < MOST) return [];
    const evidence = `${count} of ${requests} requests went past the cache (${reason})`;
    return [{ code: 'NOT_USED', severity: 'error', evidence, advice }];
  });
}

const REFUSAL_ADVICE: Readonly<Record<string, string>> = {
  strategy: "The strategy's shouldCache() returns false for these keys: make it return true for what should be cached.",
  'too-large': "Return less, or raise the lane's 'maxEntryBytes'.",
  unstorable: "Return plain data, or list the classes under 'types'.",
  undefined: 'The functions return undefined, which is not stored: return null for an empty result.',
  'skip-cache': 'The functions call ctx.skipCache() or set a ttl of 0.',
  fenced: 'Values are invalidated while they are computed: invalidate less broadly, or compute faster.',
  unless: "The 'unless' of decorators refuses the results: check what it tests.",
  'disk-full': "Free space on the volume, or lower 'storage.minFreeBytes'.",
  backlog: 'Values are stored faster than the disk writes: use a faster volume, or store less.',
};

function refusalFindings({ computed, refused }: LaneMetrics): readonly Finding[] {
  if (computed < MEANINGFUL_REQUESTS / 2) return [];
  return Object.entries(refused).flatMap(([reason, count]): Finding[] => {
    if (count / computed < MOST) return [];
    const evidence = `${count} of ${computed} computed values were not stored (${reason})`;
    return [
      { code: 'NOT_STORED', severity: 'error', evidence, advice: REFUSAL_ADVICE[reason] ?? "See why with 'explain'." },
    ];
  });
}

/** Why requests miss although values are stored: they expire, are evicted, or are never requested again. */
function missFindings(metrics: LaneMetrics): readonly Finding[] {
  const { requests, hitRate, policy } = metrics;
  const wanted = policy.targets.hitRate?.[0] ?? POOR_HIT_RATE;
  const isEnough = requests >= MANY_REQUESTS || (requests >= MEANINGFUL_REQUESTS && hitRate === 0);
  const past = sum(metrics.bypassed) + sum(metrics.refused);
  if (!isEnough || hitRate >= Math.min(wanted, POOR_HIT_RATE) || past / requests >= MOST) return [];
  const code = hitRate === 0 ? 'NO_HITS' : 'POOR_HIT_RATE';
  const severity = hitRate === 0 ? 'error' : 'warning';
  const rate = `${hitRate.toFixed(1)} % of ${requests} requests were answered from the cache (target ${wanted} %)`;
  const { evidence, advice } = causeOfMisses(metrics);
  return [{ code, severity, evidence: `${rate}; ${evidence}`, advice }];
}

function causeOfMisses(metrics: LaneMetrics): Pick<Finding, 'evidence' | 'advice'> {
  const { computed, policy, l1, l2, l3 } = metrics;
  const hasDisk = policy.l2.enabled || policy.l3.enabled;
  const evicted = hasDisk ? Math.max(l2.evictions, l3.evictions) : l1.evictions;
  const expired = Math.max(l1.expirations, l2.expirations, l3.expirations);
  const entries = Math.max(l1.entries, l2.entries, l3.entries);
  const named = sum(metrics.invalidations);
  if (evicted / computed >= SOME) {
    return {
      evidence: `${evicted} entries were evicted`,
      advice:
        "The lane is too small for its keys: raise 'maxEntries' and 'maxBytes' of its tiers, or use a heavier lane.",
    };
  }
  if (named / computed >= SOME) {
    return {
      evidence: `${named} invalidations to ${computed} computations`,
      advice: 'Values are invalidated before they are requested again: invalidate less often, or less broadly.',
    };
  }
  // entries that are computed repeatedly, but neither evicted nor invalidated in between, must have expired
  if (expired / computed >= MOST || computed > 2 * entries) {
    return {
      evidence: `${computed} computations for ${entries} entries, with a ttl of ${spanText(policy.ttlMs)}`,
      advice: "Entries expire before they are requested again: raise the lane's 'ttl', or that of the calls.",
    };
  }
  return {
    evidence: `${computed} computations left ${entries} entries`,
    advice:
      'Keys hardly repeat: check with keys whether they contain what differs at each call, such as a time or a request id.',
  };
}

function staleFindings({
  requests,
  staleServed,
  computed,
  failed,
  policy,
  invalidations,
  hitRate,
}: LaneMetrics): readonly Finding[] {
  const found: Finding[] = [];
  const attempts = computed + failed;
  if (attempts >= MEANINGFUL_REQUESTS / 2 && failed / attempts >= MOST) {
    const evidence = `${failed} of ${attempts} computations failed`;
    found.push({
      code: 'COMPUTE_FAILING',
      severity: 'error',
      evidence,
      advice: 'Check the source of the values; cached values grow old meanwhile.',
    });
  }
  if (requests >= MEANINGFUL_REQUESTS && staleServed / requests >= SOME) {
    const evidence = `${staleServed} of ${requests} requests got a value past its ttl`;
    found.push({
      code: 'STALE_SERVED',
      severity: 'warning',
      evidence,
      advice:
        "The source fails or is slow: repair it, or lower 'grace' or raise 'softTimeout' if old values are not acceptable.",
    });
  }
  if (policy.ttlMs > DAY_MS && sum(invalidations) === 0 && requests >= MEANINGFUL_REQUESTS && hitRate > 0) {
    const evidence = `values live for ${spanText(policy.ttlMs)}, and nothing has been invalidated`;
    found.push({
      code: 'OLD_VALUES',
      severity: 'warning',
      evidence,
      advice: "Lower the lane's 'ttl', or invalidate what changes, by key, tag or pattern.",
    });
  }
  return found;
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
