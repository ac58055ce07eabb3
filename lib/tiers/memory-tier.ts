import { LifeClock } from '../clock/life-clock.js';
import { nextTurn } from '../clock/timers.js';
import type { ValueCodec } from '../entries/codec/value-codec.js';
import { openRecord, sealRecord } from '../entries/record.js';
import type { ResolvedLane } from '../lanes/policy.js';
import { MemoryEntry } from './memory-entry.js';
import { MemorySpace } from './memory-space.js';
import type { Tier, TierLookup, TierRecord, TierState, TierUsage } from './tier.js';

export interface MemoryTierOptions {
  readonly lanes: ReadonlyMap<string, ResolvedLane>;
  readonly codec: ValueCodec;
  readonly life: LifeClock;
  /** An entry had to go for another, or its life was over. */
  readonly evicted: (lane: string, entry: MemoryEntry, reason: 'entries' | 'bytes' | 'expired') => void;
}

const ON: TierState = Object.freeze({ state: 'on' });
const CLOSED: TierState = Object.freeze({ state: 'off', reason: 'closed' });
/** Entries looked at between two turns of the event loop. */
const SLICE = 2_000;

/** L1: entries in this process's memory, each lane within its own entries and bytes. */
export class MemoryTier implements Tier {
  readonly name = 'l1';
  private readonly spaces: ReadonlyMap<string, MemorySpace>;
  private closed = false;

  constructor(private readonly options: MemoryTierOptions) {
    const spaces = new Map<string, MemorySpace>();
    for (const [lane, { policy, strategy }] of options.lanes) {
      const evicted = (entry: MemoryEntry, reason: 'entries' | 'bytes'): void => options.evicted(lane, entry, reason);
      spaces.set(lane, new MemorySpace({ lane, ...policy.l1, strategy, now: () => options.life.now(), evicted }));
    }
    this.spaces = spaces;
  }

  get state(): TierState {
    return this.closed ? CLOSED : ON;
  }

  /** The lane's memory itself, for the read and write paths. */
  space(lane: string): MemorySpace {
    const space = this.spaces.get(lane);
    if (space === undefined) throw new TypeError(`no memory for lane '${lane}'`);
    return space;
  }

  read(lane: string, key: string): TierLookup {
    if (this.closed) return { outcome: 'off', reason: 'closed' };
    const entry = this.space(lane).get(key);
    if (entry === undefined) return { outcome: 'miss' };
    const record = this.recordOf(entry);
    return record === undefined ? { outcome: 'miss' } : { outcome: 'hit', record };
  }

  write(lane: string, record: TierRecord): void {
    if (this.closed) return;
    const { value, landedAt, expiresAt, staleUntil, schemaVersion } = openRecord(record.bytes);
    const { key, tags, birth, computeMs } = record;
    this.space(lane).set(
      new MemoryEntry({
        key,
        tags,
        birth,
        flight: 0,
        landedAt,
        expiresAt,
        staleUntil,
        refreshAt: Infinity,
        computeMs,
        sizeBytes: value.length,
        schemaVersion,
        stamp: -1,
        held: { kind: 'bytes', bytes: value },
      }),
    );
  }

  remove(lane: string, key: string): boolean {
    return this.space(lane).delete(key);
  }

  /** In one step, so that nothing that matched can be served once the call has returned. */
  removeMatching(lane: string, matches: (key: string, tags: readonly string[]) => boolean): Promise<number> {
    return Promise.resolve(this.removeAll(lane, (entry) => matches(entry.key, entry.tags)).length);
  }

  /** The keys that went. */
  removeAll(lane: string, matches: (entry: MemoryEntry) => boolean): readonly string[] {
    const space = this.space(lane);
    const gone = [...space.values()].filter(matches).map((entry) => entry.key);
    for (const key of gone) space.delete(key);
    return gone;
  }

  clear(lane: string): Promise<void> {
    this.space(lane).clear();
    return Promise.resolve();
  }

  clearAll(): void {
    for (const space of this.spaces.values()) space.clear();
  }

  usage(lane: string): TierUsage {
    return this.space(lane).usage();
  }

  async *keys(lane: string): AsyncIterable<string> {
    for (const entry of Array.from(this.space(lane).values())) yield entry.key;
  }

  async sweep(lane: string): Promise<{ readonly expired: number; readonly evicted: number }> {
    const now = this.options.life.now();
    const space = this.space(lane);
    const keys = [...space.values()].map((entry) => entry.key);
    let expired = 0;
    for (let start = 0; start < keys.length; start += SLICE) {
      for (const key of keys.slice(start, start + SLICE)) {
        const entry = space.peek(key);
        if (entry === undefined || entry.staleUntil > now) continue;
        space.delete(key);
        this.options.evicted(lane, entry, 'expired');
        expired++;
      }
      await nextTurn();
    }
    return { expired, evicted: 0 };
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.closed = true;
    this.clearAll();
    return Promise.resolve();
  }

  private recordOf(entry: MemoryEntry): TierRecord | undefined {
    const value = this.bytesOf(entry);
    if (value === undefined) return undefined;
    const { key, tags, birth, landedAt, expiresAt, staleUntil, computeMs, schemaVersion } = entry;
    const bytes = sealRecord({
      key,
      tags,
      birth,
      landedAt,
      expiresAt,
      staleUntil,
      computeMs,
      schemaVersion,
      value,
      appVersion: '',
    });
    return { key, tags, birth, expiresAt: staleUntil, computeMs, bytes };
  }

  private bytesOf(entry: MemoryEntry): Uint8Array | undefined {
    if (entry.held.kind === 'bytes') return entry.held.bytes;
    const encoded = this.options.codec.encode(entry.held.value);
    return encoded.storable ? encoded.bytes : undefined;
  }
}
