import type { KeyPattern } from '../entries/pattern.js';
import type { TierName } from '../entries/tier-name.js';
import { decodeRecord } from '../entries/record.js';
import type { LaneContext } from './lane-context.js';

/** An entry as listings show it. */
export interface EntryInfo {
  readonly key: string;
  readonly lane: string;
  /** Where it is, nearest first. */
  readonly tiers: readonly TierName[];
  readonly tags: readonly string[];
  readonly sizeBytes: number;
  readonly computeMs: number;
  readonly ageMs: number;
  readonly remainingMs: number;
  /** Since it came into this process's memory; 0 for what is only below. */
  readonly accessCount: number;
}

type Listed = Omit<EntryInfo, 'tiers'>;

/** Each key that a tier could serve, once, with all tiers that could; a peek that changes and counts nothing. */
export async function* listEntries(context: LaneContext, pattern: KeyPattern | undefined): AsyncIterable<EntryInfo> {
  const { shared, lane } = context;
  const matches = (key: string): boolean => pattern === undefined || pattern.matches(key);
  const above: TierName[] = [];
  const inMemory = [...context.memory.values()].map((entry) => entry.key);
  for (const key of inMemory) {
    const listed = matches(key) ? fromMemory(context, key) : undefined;
    if (listed !== undefined) yield { ...listed, tiers: ['l1', ...(await tiersBelow(context, key))] };
  }
  for (const tier of shared.below) {
    for await (const key of tier.keys(lane)) {
      if (!matches(key) || fromMemory(context, key) !== undefined) continue;
      const tiers = await tiersBelow(context, key);
      if (tiers[0] !== tier.name || above.includes(tier.name)) continue;
      const listed = await fromBelow(context, key);
      if (listed !== undefined) yield { ...listed, tiers };
    }
    above.push(tier.name);
  }
}

function fromMemory(context: LaneContext, key: string): Listed | undefined {
  const { shared, lane } = context;
  const entry = context.memory.peek(key);
  const now = shared.life.now();
  if (entry === undefined || now >= entry.expiresAt) return undefined;
  const candidate = { lane, key, tags: entry.tags, birth: entry.birth };
  if (!shared.log.counts(candidate) || shared.log.expiredAt(candidate) !== undefined) return undefined;
  const { tags, sizeBytes, computeMs, accessCount } = entry;
  return {
    key,
    lane,
    tags,
    sizeBytes,
    computeMs,
    accessCount,
    ageMs: now - entry.storedAt,
    remainingMs: entry.expiresAt - now,
  };
}

async function tiersBelow(context: LaneContext, key: string): Promise<TierName[]> {
  const tiers: TierName[] = [];
  for (const tier of context.shared.below) {
    if ((await readable(context, tier, key)) !== undefined) tiers.push(tier.name);
  }
  return tiers;
}

async function fromBelow(context: LaneContext, key: string): Promise<Listed | undefined> {
  for (const tier of context.shared.below) {
    const listed = await readable(context, tier, key);
    if (listed !== undefined) return listed;
  }
  return undefined;
}

async function readable(
  context: LaneContext,
  tier: LaneContext['shared']['below'][number],
  key: string,
): Promise<Listed | undefined> {
  const { shared, lane } = context;
  const lookup = await tier.read(lane, key, 'peek');
  if (lookup.outcome !== 'hit') return undefined;
  try {
    const record = decodeRecord(lookup.record.bytes);
    const candidate = { lane, key, tags: record.tags, birth: record.birth };
    const now = shared.life.now();
    const isGood =
      record.key === key &&
      now < record.expiresAt &&
      tier.trusts(record.birth) &&
      shared.log.counts(candidate) &&
      shared.log.expiredAt(candidate) === undefined;
    if (!isGood) return undefined;
    const { tags, computeMs, value } = record;
    return {
      key,
      lane,
      tags,
      computeMs,
      sizeBytes: value.length,
      accessCount: 0,
      ageMs: now - record.storedAt,
      remainingMs: record.expiresAt - now,
    };
  } catch {
    return undefined;
  }
}
