import type { LaneMetrics } from '../events/lane-metrics.js';
import type { Explanation } from './explanation.js';
import type { Flights } from './flights.js';
import type { LaneSpace } from './lane-space.js';
import { bypassReason } from './requests.js';
import { durationText, lookBelow, lookIntoMemory, type Looked } from './tier-explanations.js';

const BELOW = ['l2', 'l3', 'l4'] as const;

type Next = Pick<Explanation, 'next' | 'answeredBy' | 'summary'>;

/** Looks at a key without touching it: nothing is counted, promoted or moved. */
export async function explain(
  space: LaneSpace,
  flights: Flights,
  key: string,
  metrics: LaneMetrics,
): Promise<Explanation> {
  const below = await Promise.all(BELOW.map((tier) => lookBelow(space, tier, key, metrics)));
  // memory last: it is looked at in the step in which `next` is decided
  const looked = [lookIntoMemory(space, key), ...below];
  return { key, lane: space.lane, tiers: looked.map(({ told }) => told), ...nextOf(space, flights, key, looked) };
}

function nextOf(space: LaneSpace, flights: Flights, key: string, looked: readonly Looked[]): Next {
  const subject = `'${key}' in lane '${space.lane}'`;
  const past = bypassReason(space, key) ?? (space.policy.ttlMs === 0 ? 'ttl-zero' : undefined);
  if (past !== undefined) return { next: 'bypass', summary: `${subject} goes past the cache (${past}).` };
  const [first, ...below] = looked.map(({ told }) => told);
  const present = first?.status === 'present' ? first : undefined;
  const flight = present === undefined ? flights.of(key, 'request') : undefined;
  if (flight !== undefined) {
    return { next: 'join', summary: `${subject} is being computed; the next caller waits for that.` };
  }
  const from = present ?? below.find(({ status }) => status === 'present');
  if (from !== undefined) {
    const left = durationText(from.entry?.remainingMs ?? 0);
    return {
      next: 'hit',
      answeredBy: from.tier,
      summary: `${subject} is served from ${from.tier} for another ${left}.`,
    };
  }
  const why = `${subject}: ${reasonText(looked).replace(/\.$/, '')}`;
  if (servesStale(space, flights, key, looked)) {
    return { next: 'stale', summary: `${why}. The next call gets the stale value, for it is within its grace.` };
  }
  return { next: 'compute', summary: `${why}. The next call computes it.` };
}

/** Whether the stale copy is given before the computation has failed or taken its time. */
function servesStale(space: LaneSpace, flights: Flights, key: string, looked: readonly Looked[]): boolean {
  const now = space.parts.life.now();
  const isInGrace = looked.some(({ staleUntil }) => staleUntil !== undefined && now < staleUntil);
  return isInGrace && (space.policy.softTimeoutMs === 0 || flights.isBackingOff(key));
}

/** The nearest tier that has something to say, and says more than that it has never seen the key. */
function reasonText(looked: readonly Looked[]): string {
  const all = looked.map(({ told }) => told);
  const telling = all.filter(({ reason }) => reason !== 'tier-off');
  const known = telling.find(({ reason }) => reason !== 'never-seen' && reason !== 'unknown');
  return (known ?? telling[0] ?? all[0])?.detail ?? 'nothing is known';
}
