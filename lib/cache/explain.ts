import { LOWER_TIER_NAMES, type LowerTierName, type TierName } from '../entries/tier-name.js';
import type { LaneMetrics } from '../events/lane-metrics.js';
import type { InvalidationKind, MissReason } from '../events/reasons.js';
import { bytesText, spanText } from '../texts/amounts.js';
import type { Candidate, VoidedBy } from '../invalidation/invalidation-log.js';
import type { EntryInfo } from './entry-listing.js';
import type { InFlight } from './in-flight/in-flight.js';
import type { KeyTrace } from './key-history.js';
import { type LaneContext, look } from './lane-context.js';
import { bypassReason } from './read.js';
import { expiryIfValid, TierSearch, type Verdict } from './tier-lookup.js';

/** What one tier holds of a key. */
export interface TierExplanation {
  readonly tier: TierName;
  /** present: it could be served from here. unusable: it is expired, invalidated, of another version, or damaged. */
  readonly status: 'present' | 'absent' | 'unusable' | 'off';
  /** Why the tier has nothing to serve. */
  readonly reason?: MissReason;
  readonly detail: string;
  /** What the tier has. */
  readonly entry?: EntryInfo;
  /** The invalidation that counts for the entry. */
  readonly invalidatedBy?: { readonly kind: InvalidationKind; readonly position: number; readonly subject?: string };
}

/** Why a key is served or not, and what the next `getOrSet` without options would do. */
export interface Explanation {
  readonly key: string;
  readonly lane: string;
  /** All four, nearest first. */
  readonly tiers: readonly TierExplanation[];
  readonly next: 'hit' | 'join' | 'stale' | 'compute' | 'bypass';
  /** The tier that would answer. Absent: the value would be computed. */
  readonly answeredBy?: TierName;
  readonly summary: string;
}

type Next = Pick<Explanation, 'next' | 'answeredBy' | 'summary'>;

/** Explains a key without counting, promoting or moving anything. */
export async function explain(
  context: LaneContext,
  inFlight: InFlight,
  key: string,
  metrics: LaneMetrics,
): Promise<Explanation> {
  look(context);
  const trace = await new TierSearch(context, key, context.defaults, 'peek').traced();
  look(context);
  const below = LOWER_TIER_NAMES.map((tier) => belowMemory(context, tier, key, { verdict: trace.get(tier), metrics }));
  // Memory comes last, in the step in which `next` is decided.
  const looked = [inMemory(context, key), ...below];
  return {
    key,
    lane: context.lane,
    tiers: looked.map(({ found }) => found),
    ...nextOf(context, inFlight, key, looked),
  };
}

/** The value that would be served, as a caller with an own copy gets it. Undefined if there is none. */
export async function peekValue(
  context: LaneContext,
  key: string,
): Promise<{ readonly tier: TierName; readonly value: unknown } | undefined> {
  const { shared } = context;
  look(context);
  const entry = context.memory.peek(key);
  const expiresAt = entry === undefined ? undefined : expiryIfValid(context, entry);
  if (entry !== undefined && expiresAt !== undefined && shared.life.now() < expiresAt) {
    const { held } = entry;
    return { tier: 'l1', value: held.kind === 'value' ? held.value : shared.codec.decode(held.bytes) };
  }
  const trace = await new TierSearch(context, key, context.defaults, 'peek').traced();
  for (const [tier, verdict] of trace) {
    if (verdict.outcome === 'found') return { tier, value: verdict.found.encoded.valueFor('clone') };
  }
  return undefined;
}

function nextOf(context: LaneContext, inFlight: InFlight, key: string, looked: readonly Looked[]): Next {
  const subject = `'${key}' in lane '${context.lane}'`;
  const past = bypassReason(context, key, context.policy.ttlMs);
  if (past !== undefined) return { next: 'bypass', summary: `${subject} goes past the cache (${past}).` };
  const [first, ...below] = looked.map(({ found }) => found);
  const present = first?.status === 'present' ? first : undefined;
  const flight = present === undefined ? inFlight.of(key, 'request') : undefined;
  if (flight !== undefined) {
    return { next: 'join', summary: `${subject} is being computed; the next caller waits for that.` };
  }
  const from = present ?? below.find(({ status }) => status === 'present');
  if (from !== undefined) {
    const left = spanText(from.entry?.remainingMs ?? 0);
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

/** Whether the stale copy is served before the computation has failed or timed out. */
function servesStale(context: LaneContext, inFlight: InFlight, key: string, looked: readonly Looked[]): boolean {
  const now = context.shared.life.now();
  const isInGrace = looked.some(({ staleUntil }) => staleUntil !== undefined && now < staleUntil);
  return isInGrace && (context.policy.softTimeoutMs === 0 || inFlight.isBackingOff(key));
}

/** The detail of the nearest tier that knows more than that it has never seen the key. */
function reasonText(looked: readonly Looked[]): string {
  const all = looked.map(({ found }) => found);
  const telling = all.filter(({ reason }) => reason !== 'tier-off');
  const known = telling.find(({ reason }) => reason !== 'never-seen' && reason !== 'unknown');
  return (known ?? telling[0] ?? all[0])?.detail ?? 'nothing is known';
}

/** One tier's explanation, and until when its entry may be served if computing fails. */
interface Looked {
  readonly found: TierExplanation;
  /** Epoch ms. Only of an entry that is expired and not invalidated. */
  readonly staleUntil?: number;
}

/** What memory holds of the key. */
function inMemory(context: LaneContext, key: string): Looked {
  const { shared } = context;
  if (shared.memory.state.state === 'off') {
    return { found: { tier: 'l1', status: 'off', reason: 'tier-off', detail: 'the app was closed' } };
  }
  const entry = context.memory.peek(key);
  if (entry === undefined) return { found: absent(context, 'l1', key) };
  const expiresAt = expiryIfValid(context, entry);
  if (expiresAt === undefined) return { found: invalidated(context, 'l1', key, entry) };
  if (entry.schemaVersion !== 0) return { found: ofOtherVersion('l1', entry.schemaVersion) };
  if (shared.life.now() < expiresAt) return { found: served(context, 'l1', entry, expiresAt) };
  const staleUntil = expiresAt + (entry.staleUntil - entry.expiresAt);
  return { found: expired(context, 'l1', entry, expiresAt), staleUntil };
}

/** What a tier below memory holds of the key. */
function belowMemory(
  context: LaneContext,
  name: LowerTierName,
  key: string,
  { verdict, metrics }: { readonly verdict: Verdict | undefined; readonly metrics: LaneMetrics },
): Looked {
  const { state, reason = 'breaker', since } = metrics[name];
  if (verdict === undefined || state === 'off') return { found: off(context, name, reason, since) };
  switch (verdict.outcome) {
    case 'off':
      return { found: off(context, name, verdict.reason, since) };
    case 'miss':
      return { found: absent(context, name, key) };
    case 'expired': {
      const { record, stale } = verdict;
      return { found: expired(context, name, record, stale.expiresAt), staleUntil: stale.staleUntil };
    }
    case 'found': {
      const { record, expiresAt } = verdict.found;
      return { found: served(context, name, { ...record, sizeBytes: record.value.length, accessCount: 0 }, expiresAt) };
    }
    default:
      return { found: unusable(context, name, key, verdict) };
  }
}

function off(context: LaneContext, tier: TierName, reason: string, since: string | undefined): TierExplanation {
  const detail =
    reason === 'policy'
      ? `lane '${context.lane}' does not use it`
      : `off${since === undefined ? '' : ` since ${since}`}: ${reason}`;
  return { tier, status: 'off', reason: 'tier-off', detail };
}

function unusable(
  context: LaneContext,
  tier: TierName,
  key: string,
  { reason, record, error }: Extract<Verdict, { outcome: 'unusable' }>,
): TierExplanation {
  if (reason === 'invalidated' && record !== undefined) {
    const isTrusted = context.shared.below.some((one) => one.name === tier && one.trusts(record.birth));
    if (isTrusted) return invalidated(context, tier, key, record);
    const detail = 'the tier missed an invalidation, so it serves nothing that is older';
    return { tier, status: 'unusable', reason, detail };
  }
  if (reason === 'version' && record !== undefined && error === undefined) {
    const { appVersion, schemaVersion } = record;
    const own = context.shared.appVersion;
    if (appVersion === own) return ofOtherVersion(tier, schemaVersion);
    const detail = `stored under the app's version '${appVersion}'; it is '${own}' now`;
    return { tier, status: 'unusable', reason, detail };
  }
  const detail = error instanceof Error ? error.message : 'its bytes are not what was written';
  return { tier, status: 'unusable', reason, detail };
}

function ofOtherVersion(tier: TierName, version: number): TierExplanation {
  const detail = `stored under version ${version}; only calls that ask for it get it`;
  return { tier, status: 'unusable', reason: 'version', detail };
}

/** An entry that could be served. */
function served(
  context: LaneContext,
  tier: TierName,
  held: Pick<EntryInfo, 'key' | 'tags' | 'sizeBytes' | 'computeMs' | 'accessCount'> & { readonly storedAt: number },
  expiresAt: number,
): TierExplanation {
  const now = context.shared.life.now();
  const { key, tags, sizeBytes, computeMs, accessCount, storedAt } = held;
  const remainingMs = expiresAt - now;
  const times = { ageMs: now - storedAt, remainingMs };
  const entry = { key, lane: context.lane, tiers: [tier], tags, sizeBytes, computeMs, ...times, accessCount };
  const detail = `good for another ${spanText(remainingMs)}, ${bytesText(sizeBytes)}`;
  return { tier, status: 'present', detail, entry };
}

/** An entry past its ttl. */
function expired(
  context: LaneContext,
  tier: TierName,
  held: Pick<Candidate, 'key' | 'tags' | 'birth'>,
  expiresAt: number,
): TierExplanation {
  const { key, tags, birth } = held;
  const by = context.shared.log.whyNot({ lane: context.lane, key, tags, birth }) ?? context.history.of(key)?.named;
  const wasNamed = by?.kind === 'expire' && by.position > birth;
  const detail = `its ttl ended at ${iso(expiresAt)}${wasNamed ? `, by ${recordText(by)}` : ''}`;
  const found = { tier, status: 'unusable', reason: 'expired', detail } as const;
  return wasNamed ? { ...found, invalidatedBy: by } : found;
}

function invalidated(
  context: LaneContext,
  tier: TierName,
  key: string,
  { tags, birth }: Pick<Candidate, 'tags' | 'birth'>,
): TierExplanation {
  const by = context.shared.log.whyNot({ lane: context.lane, key, tags, birth });
  if (by === undefined) return { tier, status: 'unusable', reason: 'invalidated', detail: 'invalidated' };
  const detail = `invalidated by ${recordText(by)}; its computation started at position ${birth}`;
  return { tier, status: 'unusable', reason: 'invalidated', detail, invalidatedBy: by };
}

/** Why there is nothing, as far as the history of the key shows. */
function absent(context: LaneContext, tier: TierName, key: string): TierExplanation {
  const trace = context.history.of(key);
  const none = { tier, status: 'absent' } as const;
  if (trace === undefined) {
    const detail = 'this key was not stored, refused or removed lately';
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
  const { stored } = trace;
  if (stored !== undefined && stored.expiresAt <= context.shared.life.now()) {
    return { ...none, reason: 'expired', detail: `its ttl ended at ${iso(stored.expiresAt)}` };
  }
  const detail = 'it is not here: it was not written yet, or it was removed for a reason that is no longer known';
  return { ...none, reason: 'unknown', detail };
}

function removalOf(context: LaneContext, key: string, trace: KeyTrace): VoidedBy | undefined {
  const { stored, named } = trace;
  const { log } = context.shared;
  if (stored === undefined) return named?.kind === 'key' && trace.refusal === undefined ? named : undefined;
  const candidate = { lane: context.lane, key, tags: stored.tags, birth: stored.birth };
  const inLog = log.counts(candidate) ? undefined : log.whyNot(candidate);
  const byKey = named?.kind === 'key' && named.position > stored.birth ? named : undefined;
  const found = [inLog, byKey, context.history.patternOver(key, stored)].filter((by) => by !== undefined);
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
