import { LOWER_TIER_NAMES } from '../entries/tier-name.js';
import type { LaneMetrics } from '../events/lane-metrics.js';
import { spanText } from '../texts/amounts.js';
import type { Finding } from '../errors/finding.js';

/** With fewer requests, the counters of a lane mean nothing. */
const MEANINGFUL_REQUESTS = 20;
/** With fewer requests, a low hit rate means nothing. */
const MANY_REQUESTS = 100;
const POOR_HIT_RATE = 30;
const MOST = 0.5;
const SOME = 0.1;
/** Points of compute time saved. */
const WORTH_A_CHANGE = 3;
const DAY_MS = 86_400_000;

/** What is wrong with a lane according to its counters. */
export function laneFindings(metrics: LaneMetrics): readonly Finding[] {
  const found = [
    ...errorFindings(metrics),
    ...bypassFindings(metrics),
    ...refusalFindings(metrics),
    ...missFindings(metrics),
    ...staleFindings(metrics),
    ...evictionFindings(metrics),
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

/** Tiers that are off: one finding for all lanes that one cause concerns. */
export function tierFindings(lanes: readonly LaneMetrics[]): readonly Finding[] {
  const off = new Map<string, { readonly evidence: string; readonly advice: string; readonly lanes: string[] }>();
  for (const metrics of lanes) {
    for (const name of LOWER_TIER_NAMES) {
      const { state, reason = '', since } = metrics[name];
      const advice = TIER_ADVICE[reason];
      if (state === 'on' || advice === undefined) continue;
      const found = off.get(`${name} ${reason}`);
      const evidence = `${name} is off (${reason})${since === undefined ? '' : ` since ${since}`}`;
      if (found === undefined) off.set(`${name} ${reason}`, { evidence, advice, lanes: [metrics.lane] });
      else found.lanes.push(metrics.lane);
    }
  }
  return [...off.values()].map(({ evidence, advice, lanes: names }) => ({
    ...(names.length === 1 && { lane: names[0] }),
    code: 'TIER_OFF',
    severity: 'error',
    evidence: names.length === 1 ? evidence : `${evidence}, in the lanes ${names.join(', ')}`,
    advice,
  }));
}

function errorFindings(metrics: LaneMetrics): readonly Finding[] {
  return LOWER_TIER_NAMES.flatMap((name): Finding[] => {
    const { state, errors } = metrics[name];
    if (errors === 0 || state === 'off') return [];
    const evidence = `${name} failed or found damage ${errors} ${errors === 1 ? 'time' : 'times'}`;
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

/** Why requests miss although values are stored, as far as a counter shows it. */
function missFindings(metrics: LaneMetrics): readonly Finding[] {
  const { requests, hitRate, policy } = metrics;
  const wanted = policy.targets.hitRate?.[0] ?? POOR_HIT_RATE;
  const isEnough = requests >= MANY_REQUESTS || (requests >= MEANINGFUL_REQUESTS && hitRate === 0);
  const past = sum(metrics.bypassed) + sum(metrics.refused);
  if (!isEnough || hitRate >= Math.min(wanted, POOR_HIT_RATE) || past / requests >= MOST) return [];
  const code = hitRate === 0 ? 'NO_HITS' : 'POOR_HIT_RATE';
  // Until then a lane without hits may just not have been asked twice for anything.
  const severity = hitRate === 0 && requests >= MANY_REQUESTS ? 'error' : 'warning';
  const rate = `${hitRate.toFixed(1)} % of ${requests} requests were answered from the cache (target ${wanted} %)`;
  const { evidence, advice } = causeOfMisses(metrics);
  return [{ code, severity, evidence: `${rate}; ${evidence}`, advice }];
}

type Cause = Pick<Finding, 'evidence' | 'advice'> & { readonly count: number };

/** The counter that is largest, if it explains a tenth of the computations. */
function causeOfMisses(metrics: LaneMetrics): Pick<Finding, 'evidence' | 'advice'> {
  const { computed } = metrics;
  const [largest] = possibleCauses(metrics).toSorted((a, b) => b.count - a.count);
  if (largest !== undefined && largest.count / computed >= SOME) return largest;
  const entries = Math.max(metrics.l1.entries, metrics.l2.entries, metrics.l3.entries);
  const evidence = `${computed} computations left ${entries} entries`;
  if (computed <= 2 * entries) {
    return {
      evidence,
      advice:
        'Keys hardly repeat: check with keys whether they contain what differs at each call, such as a time or a request id.',
    };
  }
  // Keys that are computed again although nothing took their entries away were past their ttl.
  if (metrics.l1.evictions === 0)
    return { ...expiry(metrics), evidence: `${evidence}; none was evicted or invalidated` };
  return { evidence, advice: "See with 'explain' and a key that should have been found where it is." };
}

function expiry({ policy, l1, l2, l3 }: LaneMetrics): Cause {
  const count = Math.max(l1.expirations, l2.expirations, l3.expirations);
  return {
    count,
    evidence: `${count} entries expired`,
    advice: `Entries are past their ttl (${spanText(policy.ttlMs)}) when they are requested again: raise the lane's 'ttl', or that of the calls.`,
  };
}

/** What a lane below memory still holds is not lost, so memory's own evictions count only without a disk. */
function possibleCauses(metrics: LaneMetrics): readonly Cause[] {
  const { invalidations, computed, l1, l2, l3 } = metrics;
  const hasDisk = l2.state === 'on' || l3.state === 'on';
  const evicted = hasDisk ? Math.max(l2.evictions, l3.evictions) : l1.evictions;
  const named = sum(invalidations);
  return [
    {
      count: evicted,
      evidence: `${evicted} entries were evicted`,
      advice:
        "The lane is too small for its keys: raise 'maxEntries' and 'maxBytes' of its tiers, or use a heavier lane.",
    },
    {
      count: named,
      evidence: `${named} invalidations to ${computed} computations`,
      advice: 'Values are invalidated before they are requested again: invalidate less often, or less broadly.',
    },
    expiry(metrics),
  ];
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
    found.push({
      code: 'COMPUTE_FAILING',
      severity: 'error',
      evidence: `${failed} of ${attempts} computations failed`,
      advice: 'Check the source of the values; cached values grow old meanwhile.',
    });
  }
  if (requests >= MEANINGFUL_REQUESTS && staleServed / requests >= SOME) {
    found.push({
      code: 'STALE_SERVED',
      severity: 'warning',
      evidence: `${staleServed} of ${requests} requests got a value past its ttl`,
      advice:
        "The source fails or is slow: repair it, or lower 'grace' or raise 'softTimeout' if old values are not acceptable.",
    });
  }
  if (policy.ttlMs > DAY_MS && sum(invalidations) === 0 && requests >= MEANINGFUL_REQUESTS && hitRate > 0) {
    found.push({
      code: 'OLD_VALUES',
      severity: 'warning',
      evidence: `values live for ${spanText(policy.ttlMs)}, and nothing has been invalidated`,
      advice: "Lower the lane's 'ttl', or invalidate what changes, by key, tag or pattern.",
    });
  }
  return found;
}

/** What `adaptive` would save in a lane that compares policies. */
function evictionFindings({ requests, eviction: { policy, shadows } }: LaneMetrics): readonly Finding[] {
  if (policy === 'adaptive' || shadows === undefined || requests < MANY_REQUESTS) return [];
  const { lru = 0, ...others } = shadows;
  const best = Math.max(...Object.values(others));
  if (best - lru < WORTH_A_CHANGE) return [];
  const evidence = `adaptive eviction would save ${best.toFixed(1)} % of the compute time of late, and exact LRU ${lru.toFixed(1)} %`;
  return [{ code: 'EVICTION', severity: 'warning', evidence, advice: "Set the lane's 'eviction' to 'adaptive'." }];
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
