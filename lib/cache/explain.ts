import type { LaneMetrics } from '../events/lane-metrics.js';
import type { InFlight } from './in-flight/in-flight.js';
import type { LaneContext } from './lane-context.js';
import { bypassReason } from './read.js';
import type { TierName } from '../entries/tier-name.js';
import type { InvalidationKind, MissReason } from '../events/reasons.js';
import type { EntryInfo } from './entry-listing.js';
import { StaleType } from '../entries/codec/class-kinds.js';
import { openRecord } from '../entries/record.js';
import type { VoidedBy } from '../invalidation/invalidation-log.js';
import type { KeyTrace } from './key-history.js';
import type { GuardedTier } from './guarded-tier.js';

const BELOW = ['l2', 'l3', 'l4'] as const;

type Next = Pick<Explanation, 'next' | 'answeredBy' | 'summary'>;

/** Looks at a key without touching it: nothing is counted, promoted or moved. */
export async function explain(
  context: LaneContext,
  inFlight: InFlight,
  key: string,
  metrics: LaneMetrics,
): Promise<Explanation> {
  const below = await Promise.all(BELOW.map((tier) => lookBelow(context, tier, key, metrics)));
  // memory last: it is looked at in the step in which `next` is decided
  const looked = [lookIntoMemory(context, key), ...below];
  return { key, lane: context.lane, tiers: looked.map(({ told }) => told), ...nextOf(context, inFlight, key, looked) };
}

function nextOf(context: LaneContext, inFlight: InFlight, key: string, looked: readonly Looked[]): Next {
  const subject = `'${key}' in lane '${context.lane}'`;
  const past = bypassReason(context, key) ?? (context.policy.ttlMs === 0 ? 'ttl-zero' : undefined);
  if (past !== undefined) return { next: 'bypass', summary: `${subject} goes past the cache (${past}).` };
  const [first, ...below] = looked.map(({ told }) => told);
  const present = first?.status === 'present' ? first : undefined;
  const flight = present === undefined ? inFlight.of(key, 'request') : undefined;
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
  if (servesStale(context, inFlight, key, looked)) {
    return { next: 'stale', summary: `${why}. The next call gets the stale value, for it is within its grace.` };
  }
  return { next: 'compute', summary: `${why}. The next call computes it.` };
}

/** Whether the stale copy is given before the computation has failed or taken its time. */
function servesStale(context: LaneContext, inFlight: InFlight, key: string, looked: readonly Looked[]): boolean {
  const now = context.shared.life.now();
  const isInGrace = looked.some(({ staleUntil }) => staleUntil !== undefined && now < staleUntil);
  return isInGrace && (context.policy.softTimeoutMs === 0 || inFlight.isBackingOff(key));
}

/** The nearest tier that has something to say, and says more than that it has never seen the key. */
function reasonText(looked: readonly Looked[]): string {
  const all = looked.map(({ told }) => told);
  const telling = all.filter(({ reason }) => reason !== 'tier-off');
  const known = telling.find(({ reason }) => reason !== 'never-seen' && reason !== 'unknown');
  return (known ?? telling[0] ?? all[0])?.detail ?? 'nothing is known';
}

/** What one tier has to say about a key. */
export interface TierExplanation {
  readonly tier: TierName;
  /** present: good, could be served from here; unusable: bytes are there but expired, invalidated, of another version, damaged. */
  readonly status: 'present' | 'absent' | 'unusable' | 'off';
  readonly reason?: MissReason;
  readonly detail: string;
  readonly entry?: EntryInfo;
  readonly invalidatedBy?: { readonly kind: InvalidationKind; readonly position: number; readonly subject?: string };
}

/** Why a key is, or is not, served, and what the next `getOrSet` without options would do. */
export interface Explanation {
  readonly key: string;
  readonly lane: string;
  /** Nearest first, all four. */
  readonly tiers: readonly TierExplanation[];
  readonly next: 'hit' | 'join' | 'stale' | 'compute' | 'bypass';
  readonly answeredBy?: TierName;
  readonly summary: string;
}

/** A tier's answer, and how long what it holds may still be served if computing fails. */
interface Looked {
  readonly told: TierExplanation;
  /** Life time, epoch ms; of what is expired and not invalidated. */
  readonly staleUntil?: number;
}

/** An entry as far as it is judged, wherever it is. */
interface Copy {
  readonly tags: readonly string[];
  readonly birth: number;
  readonly storedAt: number;
  readonly expiresAt: number;
  readonly staleUntil: number;
  readonly computeMs: number;
  readonly schemaVersion: number;
  readonly sizeBytes: number;
  readonly accessCount: number;
}

/** What memory has to say. */
function lookIntoMemory(context: LaneContext, key: string): Looked {
  const { state } = context.shared.memory;
  if (state.state === 'off') {
    return { told: { tier: 'l1', status: 'off', reason: 'tier-off', detail: 'the app was closed' } };
  }
  const entry = context.memory.peek(key);
  return entry === undefined ? { told: absent(context, 'l1', key) } : judge(context, 'l1', key, entry);
}

/** What a tier below has to say: a peek that counts nothing, and changes neither recency nor anything else. */
async function lookBelow(
  context: LaneContext,
  tier: Exclude<TierName, 'l1'>,
  key: string,
  metrics: LaneMetrics,
): Promise<Looked> {
  const gate = context.shared.below.find(({ name }) => name === tier);
  const { state, reason = 'breaker', since } = metrics[tier];
  if (gate === undefined || state === 'off') return { told: off(context, tier, reason, since) };
  const lookup = await gate.peek(context.lane, key);
  if (lookup.outcome === 'off') return { told: off(context, tier, lookup.reason, since) };
  if (lookup.outcome === 'miss') return { told: absent(context, tier, key) };
  return judgeBytes(context, gate, key, lookup.record.bytes);
}

function off(context: LaneContext, tier: TierName, reason: string, since: string | undefined): TierExplanation {
  const detail =
    reason === 'policy'
      ? `lane '${context.lane}' does not use it`
      : `off${since === undefined ? '' : ` since ${since}`}: ${reason}`;
  return { tier, status: 'off', reason: 'tier-off', detail };
}

function judgeBytes(context: LaneContext, gate: GuardedTier, key: string, bytes: Uint8Array): Looked {
  const tier = gate.name;
  try {
    const record = openRecord(bytes);
    if (record.key !== key) return { told: absent(context, tier, key) };
    if (!gate.trusts(record.birth)) {
      const detail = 'the tier missed an invalidation, so nothing older than that is served from it';
      return { told: { tier, status: 'unusable', reason: 'invalidated', detail } };
    }
    const { appVersion } = record;
    if (appVersion !== context.shared.appVersion) {
      const detail = `stored under the app's version '${appVersion}'; it is '${context.shared.appVersion}' now`;
      return { told: { tier, status: 'unusable', reason: 'version', detail } };
    }
    context.shared.codec.decode(record.value);
    return judge(context, tier, key, { ...record, sizeBytes: record.value.length, accessCount: 0 });
  } catch (error) {
    const detail = error instanceof Error ? error.message : 'its bytes are not what was written';
    return { told: { tier, status: 'unusable', reason: error instanceof StaleType ? 'version' : 'damaged', detail } };
  }
}

function judge(context: LaneContext, tier: TierName, key: string, copy: Copy): Looked {
  const { shared, lane } = context;
  const now = shared.life.now();
  const candidate = { lane, key, tags: copy.tags, birth: copy.birth };
  const by = shared.log.whyNot(candidate);
  if (!shared.log.counts(candidate)) return { told: voided(tier, by, copy.birth) };
  if (copy.schemaVersion !== 0) {
    const detail = `stored under version ${copy.schemaVersion}; only calls that ask for it get it`;
    return { told: { tier, status: 'unusable', reason: 'version', detail } };
  }
  const expiresAt = Math.min(copy.expiresAt, shared.log.expiredAt(candidate) ?? Infinity);
  const named = by ?? context.recent.of(key)?.named;
  if (now >= expiresAt) {
    const staleUntil = expiresAt + (copy.staleUntil - copy.expiresAt);
    const wasNamed = named?.kind === 'expire' && named.position > copy.birth;
    const detail = `its ttl ended at ${iso(expiresAt)}${wasNamed ? `, by ${recordText(named)}` : ''}`;
    const expired = { tier, status: 'unusable', reason: 'expired', detail } as const;
    return { told: wasNamed ? { ...expired, invalidatedBy: named } : expired, staleUntil };
  }
  const { tags, sizeBytes, computeMs, accessCount, storedAt } = copy;
  const remainingMs = expiresAt - now;
  const times = { ageMs: now - storedAt, remainingMs };
  const entry = { key, lane, tiers: [tier], tags, sizeBytes, computeMs, ...times, accessCount };
  const detail = `good for another ${durationText(remainingMs)}, ${sizeBytes} bytes`;
  return { told: { tier, status: 'present', detail, entry } };
}

function voided(tier: TierName, by: VoidedBy | undefined, birth: number): TierExplanation {
  if (by === undefined) return { tier, status: 'unusable', reason: 'invalidated', detail: 'invalidated' };
  const detail = `invalidated by ${recordText(by)}; it was born at ${birth}`;
  return { tier, status: 'unusable', reason: 'invalidated', detail, invalidatedBy: by };
}

/** Why there is nothing, as far as is still known. */
function absent(context: LaneContext, tier: TierName, key: string): TierExplanation {
  const trace = context.recent.of(key);
  const none = { tier, status: 'absent' } as const;
  if (trace === undefined) {
    const detail = 'nothing is known of this key: it was not stored, refused or removed lately';
    return { ...none, reason: 'never-seen', detail };
  }
  const by = removalOf(context, key, trace);
  if (by !== undefined) {
    return { ...none, reason: 'invalidated', detail: `removed by ${recordText(by)}`, invalidatedBy: by };
  }
  if (trace.refusal !== undefined) {
    const { reason, detail } = trace.refusal;
    return { ...none, reason: 'refused', detail: `its last value was not stored (${reason}): ${detail}` };
  }
  const evicted = trace.evictedFrom[tier];
  if (evicted !== undefined) return { ...none, ...evictionOf(evicted) };
  const { landed } = trace;
  if (landed !== undefined && landed.expiresAt <= context.shared.life.now()) {
    return { ...none, reason: 'expired', detail: `its ttl ended at ${iso(landed.expiresAt)}` };
  }
  const detail = 'it is not here: the tier has not been told yet, or has let it go without saying why';
  return { ...none, reason: 'unknown', detail };
}

function removalOf(context: LaneContext, key: string, trace: KeyTrace): VoidedBy | undefined {
  const { landed, named } = trace;
  const { log } = context.shared;
  if (landed === undefined) return named?.kind === 'key' && trace.refusal === undefined ? named : undefined;
  const candidate = { lane: context.lane, key, tags: landed.tags, birth: landed.birth };
  const inLog = log.counts(candidate) ? undefined : log.whyNot(candidate);
  const byKey = named?.kind === 'key' && named.position > landed.birth ? named : undefined;
  const found = [inLog, byKey, context.recent.patternOver(key, landed)].filter((by) => by !== undefined);
  return found.toSorted((a, b) => a.position - b.position)[0];
}

function evictionOf(reason: string): Pick<TierExplanation, 'reason' | 'detail'> {
  return reason === 'expired'
    ? { reason: 'expired', detail: 'its ttl ended, and it was swept away' }
    : { reason: 'evicted', detail: `evicted to keep the lane within its ${reason}` };
}

function recordText({ kind, subject, position }: VoidedBy): string {
  if (subject === undefined) return `one of its tags, at position ${position} or before`;
  return kind === 'all'
    ? `a clear of the lane at position ${position}`
    : `${kind} '${subject}' at position ${position}`;
}

function iso(time: number): string {
  return new Date(time).toISOString();
}

function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.ceil(ms)} ms`;
  const seconds = Math.round(ms / 1_000);
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}
