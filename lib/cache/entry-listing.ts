import { Slices } from '../clock/slices.js';
import type { KeyPattern } from '../entries/pattern.js';
import { decodeRecord } from '../entries/record.js';
import type { TierName } from '../entries/tier-name.js';
import type { GuardedTier } from './guarded-tier.js';
import { type LaneContext, look } from './lane-context.js';
import { expiryIfValid } from './tier-lookup.js';

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
  const matches = (key: string): boolean => pattern === undefined || pattern.matchesKey(key);
  const above: TierName[] = [];
  const slices = new Slices();
  const inMemory = Array.from(context.memory.values(), (entry) => entry.key);
  // One that memory loses meanwhile is not listed again.
  const yielded = new Set<string>();
  for (const key of inMemory) {
    await slices.after(workOf(key));
    const entry = matches(key) ? fromMemory(context, key) : undefined;
    if (entry === undefined) continue;
    yielded.add(key);
    yield { ...entry, tiers: ['l1', ...(await tiersBelow(context, key))] };
  }
  for (const tier of shared.below) {
    for await (const key of tier.keys(lane)) {
      await slices.after(workOf(key));
      if (yielded.has(key) || !matches(key) || fromMemory(context, key) !== undefined) continue;
      const tiers = await tiersBelow(context, key);
      if (tiers[0] !== tier.name || above.includes(tier.name)) continue;
      const entry = await fromTier(context, tier, key);
      if (entry !== undefined) yield { ...entry, tiers };
    }
    above.push(tier.name);
  }
}

/** A long key takes longer to match. */
const workOf = (key: string): number => 1 + key.length / 512;

/** The entry as `tier` could serve it. nearest: only if no tier above has it too. */
export async function entryIn(
  context: LaneContext,
  key: string,
  tier: TierName,
  where: 'here' | 'nearest',
): Promise<EntryInfo | undefined> {
  const inMemory = fromMemory(context, key);
  const tiers: TierName[] = inMemory === undefined ? [] : ['l1'];
  let found = tier === 'l1' ? inMemory : undefined;
  for (const below of context.shared.below) {
    const entry = await fromTier(context, below, key);
    if (entry !== undefined) tiers.push(below.name);
    if (below.name === tier) found = entry;
  }
  if (found === undefined || (where === 'nearest' && tiers[0] !== tier)) return undefined;
  return { ...found, tiers };
}

function fromMemory(context: LaneContext, key: string): Listed | undefined {
  look(context);
  const entry = context.memory.peek(key);
  return entry === undefined ? undefined : listed(context, entry, expiryIfValid(context, entry));
}

async function tiersBelow(context: LaneContext, key: string): Promise<TierName[]> {
  const tiers: TierName[] = [];
  for (const tier of context.shared.below) {
    if ((await fromTier(context, tier, key)) !== undefined) tiers.push(tier.name);
  }
  return tiers;
}

/** What the tier could serve of the key, under any version of the app or of the value. */
async function fromTier(context: LaneContext, tier: GuardedTier, key: string): Promise<Listed | undefined> {
  const lookup = await tier.read(context.lane, key, 'peek');
  if (lookup.outcome !== 'hit') return undefined;
  look(context);
  try {
    const record = decodeRecord(lookup.record.bytes);
    if (record.key !== key || !tier.trusts(record.birth)) return undefined;
    return listed(
      context,
      { ...record, sizeBytes: record.value.length, accessCount: 0 },
      expiryIfValid(context, record),
    );
  } catch {
    return undefined;
  }
}

function listed(
  { shared, lane }: LaneContext,
  held: Omit<Listed, 'lane' | 'ageMs' | 'remainingMs'> & { readonly storedAt: number },
  expiresAt: number | undefined,
): Listed | undefined {
  const now = shared.life.now();
  if (expiresAt === undefined || now >= expiresAt) return undefined;
  const { key, tags, sizeBytes, computeMs, accessCount, storedAt } = held;
  return { key, lane, tags, sizeBytes, computeMs, accessCount, ageMs: now - storedAt, remainingMs: expiresAt - now };
}
