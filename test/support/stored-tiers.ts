import { type DecodedRecord, encodeRecord } from '../../lib/entries/record.js';
import type { RecordLookup } from '../../lib/storage/entries/entry-store.js';
import type { EventSink, LaneCacheEventMap, LaneCacheEventName } from '../../lib/events/event-map.js';
import type { LaneRecorder } from '../../lib/events/recorder.js';
import type { LanePolicyInput } from '../../lib/lanes/policy.js';
import { resolveLanes } from '../../lib/lanes/resolve-lanes.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import type { StoredTierOptions } from '../../lib/tiers/stored-tier.js';
import type { TierRecord } from '../../lib/tiers/tier.js';

/** Keeps what was said. */
export class RecordingEvents implements EventSink {
  readonly tiers: LaneCacheEventMap['tier'][] = [];
  readonly evicted: LaneCacheEventMap['evict'][] = [];
  private readonly keep: { readonly [N in LaneCacheEventName]?: (event: LaneCacheEventMap[N]) => void } = {
    tier: (event) => this.tiers.push(event),
    evict: (event) => this.evicted.push(event),
  };

  wants(): boolean {
    return true;
  }

  emit<N extends LaneCacheEventName>(name: N, event: LaneCacheEventMap[N]): void {
    this.keep[name]?.(event);
  }

  /** The changes of state of tiers, as `off disk-full` or `on`. */
  get states(): string[] {
    return this.tiers.map(({ state, reason }) => (reason === undefined ? state : `${state} ${reason}`));
  }
}

/** What was found, if this release and Node can read it. */
export const readable = async (found: RecordLookup): Promise<DecodedRecord | undefined> => {
  const record = await found;
  return record === 'unreadable' ? undefined : record;
};

const ignore = (): void => undefined;

/** Counts what tiers count, and nothing else. */
export class CountingRecorder implements LaneRecorder {
  evictions = 0;
  expirations = 0;
  errors = 0;

  eviction(_tier: string, count: number): void {
    this.evictions += count;
  }

  expiration(_tier: string, count: number): void {
    this.expirations += count;
  }

  tierError(): void {
    this.errors++;
  }

  readonly hit = ignore;
  readonly miss = ignore;
  readonly notFound = ignore;
  readonly bypass = ignore;
  readonly joined = ignore;
  readonly lookupMiss = ignore;
  readonly lookedUp = ignore;
  readonly computed = ignore;
  readonly failed = ignore;
  readonly abandoned = ignore;
  readonly refuse = ignore;
  readonly staleServed = ignore;
  readonly invalidation = ignore;
}

export interface TierSetting {
  readonly clock: FakeClock;
  readonly events: RecordingEvents;
  readonly counts: CountingRecorder;
  readonly options: StoredTierOptions;
}

/** What a disk tier needs around it. Lane `standard` uses L2 and L3, lane `docs` L2 alone. */
export function tierSetting(lanes: Readonly<Record<string, LanePolicyInput>> = {}): TierSetting {
  const clock = new FakeClock();
  const events = new RecordingEvents();
  const counts = new CountingRecorder();
  const recorder = (): LaneRecorder => counts;
  return { clock, events, counts, options: { lanes: resolveLanes(lanes), clock, life: clock, events, recorder } };
}

export interface RecordInput {
  readonly value?: string | Uint8Array;
  readonly tags?: readonly string[];
  readonly birth?: number;
  readonly expiresAt?: number;
  readonly computeMs?: number;
}

/** A sealed record of `key`; it lives until far beyond any test by default. */
export function recordOf(key: string, input: RecordInput = {}): TierRecord {
  const { value = `value of ${key}`, tags = [], birth = 1, computeMs = 5 } = input;
  const expiresAt = input.expiresAt ?? Date.UTC(2030, 0, 1);
  const bytes = encodeRecord({
    key,
    tags,
    birth,
    computeMs,
    expiresAt,
    staleUntil: expiresAt,
    storedAt: Date.UTC(2026, 0, 1),
    appVersion: '',
    schemaVersion: 0,
    value: typeof value === 'string' ? Buffer.from(value) : value,
  });
  return { key, tags, birth, expiresAt, computeMs, bytes };
}
