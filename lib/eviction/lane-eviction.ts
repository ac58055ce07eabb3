import {
  AdaptivePolicy,
  type KnownEntry,
  type Origin,
  type PolicyState,
  type UnknownEntry,
} from './adaptive-policy.js';
import type { Capacity, ShadowName } from './shadow.js';

/** How a tier finds what goes first. lru: the least recently used. named: `victim` names it. scan: the first by recency that `keeps` gives up. */
type EvictionOrder = 'lru' | 'named' | 'scan';

/** What a tier reports of one lane, and asks when the lane is beyond its limits. */
export interface Keeper {
  readonly order: EvictionOrder;
  /** The tier holds the entry from here on. */
  stored(entry: KnownEntry): void;
  /** It had to go for another. */
  evicted(key: string): void;
  /** It has expired or was invalidated. */
  removed(key: string): void;
  /** What goes first. It may be gone already: then the tier says so by `evicted`, and asks again. */
  victim(): string | undefined;
  keeps(entry: UnknownEntry): boolean;
}

/** A tier that begins to serve a lane. */
export interface ServingTier extends Capacity {
  /** The tier that lies lowest has the highest rank, and rules. */
  readonly rank: number;
  /** With more entries than these, only a sample of the keys is in the books, and the tier is asked to scan. */
  readonly mostInBooks: number;
  /** What it holds already, the least recently used first. */
  readonly entries?: () => AsyncIterable<UnknownEntry & { readonly expiresAt: number }>;
  /** What `stateOf` gave when the tier was last asked. */
  readonly state?: string | undefined;
}

/** An entry that was asked for or stored, with its size in each kind of tier. */
export interface RequestedEntry {
  readonly key: string;
  /** 0 if nobody has measured it. */
  readonly computeMs: number;
  /** Epoch ms. */
  readonly expiresAt: number;
  readonly memoryBytes: number;
  /** As a record, before it is compressed. */
  readonly recordBytes: number;
}

/** Takes an entry that memory has served since the last call, and how often. */
export type ReportUse = (entry: RequestedEntry, uses: number) => void;

export interface LaneEvictionOptions {
  /** Epoch ms. */
  readonly now: () => number;
  /** rule: the lowest tier follows the policy. observe: it follows LRU, and a sample of the keys shows what others would save. */
  readonly mode: 'rule' | 'observe';
  readonly compresses: boolean;
}

/** What each shadow would have saved lately, in percent of all cost. */
export interface EvictionReport {
  readonly leader: ShadowName;
  readonly shadows: Readonly<Record<ShadowName, number>>;
}

/** Enough to tell policies apart, and few enough to cost little. */
const OBSERVED_ENTRIES = 2_048;
/** By how much sums of bytes count less with each entry. */
const BYTES_DECAY = 0.99;

/**
 * What decides the evictions of one lane. All its tiers ask the same policy. The lowest of them follows it, because what that
 * one loses has to be computed again; those above it keep what was used last.
 */
export class LaneEviction {
  private readonly serving = new Map<string, ServingTier>();
  private ruler: string | undefined;
  private policy: AdaptivePolicy | undefined;
  private usesInMemory: ((report: ReportUse) => void) | undefined;
  private isReading = false;
  private hasLearnt = false;
  private learnt: (() => void) | undefined;
  private rawBytes = 0;
  private storedBytes = 0;

  constructor(private readonly options: LaneEvictionOptions) {}

  /** What this tier has to say about the lane. */
  keeperOf(tier: string): Keeper {
    const { options } = this;
    // What memory has served is known from the request that led to the change.
    const ruled = (): AdaptivePolicy | undefined => (this.ruler === tier ? this.policy : undefined);
    const stored = (entry: KnownEntry): void => {
      const policy = ruled();
      if (policy === undefined) return;
      this.storedBytes = this.storedBytes * BYTES_DECAY + entry.sizeBytes;
      policy.stored(entry);
    };
    return {
      get order() {
        const policy = ruled();
        if (policy === undefined || options.mode === 'observe') return 'lru';
        return policy.isSampled ? 'scan' : 'named';
      },
      stored,
      evicted: (key) => ruled()?.evicted(key),
      removed: (key) => ruled()?.removed(key),
      victim: () => ruled()?.victim(),
      keeps: (entry) => ruled()?.keeps(entry) ?? false,
    };
  }

  /** The tier serves the lane from here on. The books begin anew if it is now the lowest one. */
  serves(tier: string, serving: ServingTier): void {
    this.serving.set(tier, serving);
    if (this.lowest()?.[0] === tier) this.rule(tier, serving);
  }

  /** The tier serves no more. The one above it rules, until it is back. */
  ended(tier: string): void {
    this.serving.delete(tier);
    if (this.ruler !== tier) return;
    const lowest = this.lowest();
    if (lowest === undefined) {
      this.ruler = undefined;
      this.policy = undefined;
    } else this.rule(...lowest);
  }

  /** `take` gives what memory has served since it was last called. */
  readUsesFrom(take: (report: ReportUse) => void): void {
    this.usesInMemory = take;
  }

  requested(entry: RequestedEntry, origin: Origin): void {
    this.note(this.policyNow(), entry, origin, 1);
  }

  /** Removes what has expired from the books. */
  sweep(): void {
    this.policyNow()?.sweep();
  }

  /** What is worth saving with this tier, if it is the one that follows the policy. */
  stateOf(tier: string): string | undefined {
    const policy = this.ruler === tier ? this.policyNow() : undefined;
    return policy && JSON.stringify(policy.state);
  }

  /** `run` is called whenever the books hold what a tier held before, also if that has been so already. */
  whenLearnt(run: () => void): void {
    this.learnt = run;
    if (this.hasLearnt) run();
  }

  /** The keys whose entries save most, the best first. */
  best(limit: number): readonly string[] {
    return this.options.mode === 'rule' ? (this.policy?.best(limit) ?? []) : [];
  }

  get report(): EvictionReport | undefined {
    const policy = this.policyNow();
    return policy && { leader: policy.leader, shadows: policy.savedShares };
  }

  /** The policy, once it knows what memory has served. */
  private policyNow(): AdaptivePolicy | undefined {
    const { policy } = this;
    if (policy === undefined || this.isReading) return policy;
    this.isReading = true;
    this.usesInMemory?.(this.noteUse);
    this.isReading = false;
    return policy;
  }

  private readonly noteUse: ReportUse = (entry, uses) => this.note(this.policy, entry, 'found', uses);

  private note(policy: AdaptivePolicy | undefined, entry: RequestedEntry, origin: Origin, uses: number): void {
    const { key, computeMs, expiresAt, memoryBytes, recordBytes } = entry;
    if (origin !== 'found') this.rawBytes = this.rawBytes * BYTES_DECAY + recordBytes;
    const sizeBytes = this.ruler === 'l1' ? memoryBytes : Math.ceil(recordBytes * this.sizeOnDisk);
    policy?.requested({ key, computeMs, expiresAt, sizeBytes }, origin, uses);
  }

  /** What compression leaves of a byte. */
  private get sizeOnDisk(): number {
    if (!this.options.compresses || this.rawBytes === 0 || this.storedBytes === 0) return 1;
    return Math.min(1, this.storedBytes / this.rawBytes);
  }

  private rule(tier: string, { maxEntries, maxBytes, mostInBooks, entries, state }: ServingTier): void {
    const { now, mode } = this.options;
    const most = mode === 'observe' ? OBSERVED_ENTRIES : mostInBooks;
    const policy = new AdaptivePolicy({ maxEntries, maxBytes }, now, most);
    this.ruler = tier;
    this.policy = policy;
    this.storedBytes = 0;
    this.rawBytes = 0;
    const kept = state === undefined ? undefined : readPolicyState(state);
    if (kept !== undefined) policy.adopt(kept);
    if (entries !== undefined) void this.learn(policy, entries());
  }

  /** What the tier held before is learnt in slices. What is stored meanwhile is known already. */
  private async learn(policy: AdaptivePolicy, entries: ReturnType<NonNullable<ServingTier['entries']>>): Promise<void> {
    try {
      for await (const entry of entries) {
        if (this.policy !== policy) return;
        policy.learn(entry);
      }
      this.hasLearnt = true;
      this.learnt?.();
    } catch {
      // A tier that cannot be read has reported it. The policy knows what is stored from here on.
    }
  }

  private lowest(): readonly [string, ServingTier] | undefined {
    let lowest: readonly [string, ServingTier] | undefined;
    for (const one of this.serving) if (lowest === undefined || one[1].rank > lowest[1].rank) lowest = one;
    return lowest;
  }
}

/** What the state of a policy was, if it is whole. */
function readPolicyState(json: string): PolicyState | undefined {
  try {
    const state: unknown = JSON.parse(json);
    return isPolicyState(state) ? state : undefined;
  } catch {
    return undefined;
  }
}

function isPolicyState(state: unknown): state is PolicyState {
  if (typeof state !== 'object' || state === null || !('leader' in state)) return false;
  if (!('scores' in state) || !('costs' in state)) return false;
  return typeof state.leader === 'string' && areNumbers(state.scores) && areNumbers(state.costs);
}

const areNumbers = (list: unknown): boolean =>
  Array.isArray(list) && list.every((item) => typeof item === 'number' && Number.isFinite(item) && item >= 0);
