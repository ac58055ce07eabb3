import type { LaneMetrics } from '../../events/lane-metrics.js';
import { spanText } from '../texts.js';
import type { Finding } from './findings.js';

/** Fewer requests say nothing about a lane. */
const TELLING_REQUESTS = 20;
/** What hit rates are judged by. */
const MANY_REQUESTS = 100;
const POOR_HIT_RATE = 30;
const MOST = 0.5;
const SOME = 0.1;
const DAY_MS = 86_400_000;

/** What a lane's counters say is wrong with it. */
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
  breaker: 'It is tried again by itself; look at the volume and the log of the app if it stays off.',
  'disk-full': "Free space on the volume, or lower 'storage.minFreeBytes'.",
  'read-only': "Make the directory writable for the app's user.",
  quarantined: 'It comes back by itself; if it does not, look at the volume.',
  'in-use': 'Another process owns the directory. Give each app a directory of its own.',
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
  excluded: "The lane's 'include' and 'exclude' patterns leave these keys out: change the patterns.",
  'ttl-zero': "The ttl is 0, which stores nothing: set the lane's 'ttl', or that of the calls.",
  forced: "Most calls ask with 'forceFresh': leave it out where an older value will do.",
  condition: "The decorators' 'condition' says no: look at what it tests.",
  'unkeyable-arguments': "The methods' arguments cannot be made a key: give @Cached a 'key'.",
};

function bypassFindings({ requests, bypassed }: LaneMetrics): readonly Finding[] {
  if (requests < TELLING_REQUESTS) return [];
  return Object.entries(BYPASS_ADVICE).flatMap(([reason, advice]): Finding[] => {
    const count: number = Object.entries(bypassed).find(([name]) => name === reason)?.[1] ?? 0;
    if (count / requests < MOST) return [];
    const evidence = `${count} of ${requests} requests went past the cache (${reason})`;
    return [{ code: 'NOT_USED', severity: 'error', evidence, advice }];
  });
}

const REFUSAL_ADVICE: Readonly<Record<string, string>> = {
  strategy: "The strategy's shouldCache() says no to these keys: make it return true for what should be cached.",
  'too-large': "Return less, or raise the lane's 'maxEntryBytes'.",
  unstorable: "Return plain data, or list the classes under 'types'.",
  undefined: 'The functions return undefined, which is not stored: return null for nothing.',
  'skip-cache': 'The functions call ctx.skipCache() or set a ttl of 0.',
  fenced: 'Values are invalidated while they are computed: invalidate less broadly, or compute faster.',
  unless: "The decorators' 'unless' refuses the results: look at what it tests.",
  'disk-full': "Free space on the volume, or lower 'storage.minFreeBytes'.",
  backlog: 'More is stored than the disk takes: use a faster volume, or store less.',
};

function refusalFindings({ computed, refused }: LaneMetrics): readonly Finding[] {
  if (computed < TELLING_REQUESTS / 2) return [];
  return Object.entries(refused).flatMap(([reason, count]): Finding[] => {
    if (count / computed < MOST) return [];
    const evidence = `${count} of ${computed} computed values were not stored (${reason})`;
    return [
      { code: 'NOT_STORED', severity: 'error', evidence, advice: REFUSAL_ADVICE[reason] ?? 'See why with explain.' },
    ];
  });
}

/** Why requests miss although what was computed is stored: it expires, it is pushed out, or it is never asked for again. */
function missFindings(metrics: LaneMetrics): readonly Finding[] {
  const { requests, hitRate, policy } = metrics;
  const wanted = policy.targets.hitRate?.[0] ?? POOR_HIT_RATE;
  const isEnough = requests >= MANY_REQUESTS || (requests >= TELLING_REQUESTS && hitRate === 0);
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
      advice: 'Values are invalidated before they are asked for again: invalidate less often, or less broadly.',
    };
  }
  // computed again and again, and neither pushed out nor invalidated in between: their time was over
  if (expired / computed >= MOST || computed > 2 * entries) {
    return {
      evidence: `${computed} computations for ${entries} entries, with a ttl of ${spanText(policy.ttlMs)}`,
      advice: "Entries expire before they are asked for again: raise the lane's 'ttl', or that of the calls.",
    };
  }
  return {
    evidence: `${computed} computations left ${entries} entries`,
    advice:
      'Keys hardly repeat: see with keys whether they hold what differs at each call, such as a time or the id of a request.',
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
  if (attempts >= TELLING_REQUESTS / 2 && failed / attempts >= MOST) {
    const evidence = `${failed} of ${attempts} computations failed`;
    found.push({
      code: 'COMPUTE_FAILING',
      severity: 'error',
      evidence,
      advice: 'Look at the source of the values; what is cached gets old meanwhile.',
    });
  }
  if (requests >= TELLING_REQUESTS && staleServed / requests >= SOME) {
    const evidence = `${staleServed} of ${requests} requests got a value past its ttl`;
    found.push({
      code: 'STALE_SERVED',
      severity: 'warning',
      evidence,
      advice:
        "The source fails or is slow: mend it, or lower 'grace' or raise 'softTimeout' if old values will not do.",
    });
  }
  if (policy.ttlMs > DAY_MS && sum(invalidations) === 0 && requests >= TELLING_REQUESTS && hitRate > 0) {
    const evidence = `values live for ${spanText(policy.ttlMs)}, and nothing was ever invalidated`;
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
