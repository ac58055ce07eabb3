import { KeyPattern } from '../entries/pattern.js';
import type { TierName } from '../entries/tier-name.js';
import type { RefusalReason } from '../events/reasons.js';
import type { LogRecord } from '../invalidation/journal.js';
import type { VoidedBy } from '../invalidation/why-not.js';

/** The life of an entry when it landed. */
export interface Landed {
  readonly birth: number;
  readonly tags: readonly string[];
  /** Life time, epoch ms. */
  readonly expiresAt: number;
}

/** What is still known of a key, whether a tier holds it or not. */
export interface KeyTrace {
  readonly landed?: Landed | undefined;
  /** What of it was evicted since, and from where. */
  readonly evictedFrom: Readonly<Partial<Record<TierName, string>>>;
  readonly refusal?: { readonly reason: RefusalReason; readonly detail: string } | undefined;
  /** The last record that named the key itself. */
  readonly named?: VoidedBy | undefined;
}

class Trace implements KeyTrace {
  readonly evictedFrom: Partial<Record<TierName, string>> = {};
  refusal: KeyTrace['refusal'];
  named: KeyTrace['named'];

  constructor(readonly landed?: Landed) {}
}

const REMEMBERED_KEYS = 1_000;
const REMEMBERED_PATTERNS = 64;

/** What became of the keys that a lane stored, refused or lost last. Told when something changes, never by a hit. */
export class RecentKeys {
  private readonly traces = new Map<string, Trace>();
  /** The keys in the order in which they were first heard of, in a ring. */
  private readonly ring: string[] = [];
  private oldest = 0;
  private patterns: readonly { readonly pattern: KeyPattern; readonly position: number }[] = [];

  /** Undefined of a key that has not been heard of, or too long ago. */
  of(key: string): KeyTrace | undefined {
    return this.traces.get(key);
  }

  stored(key: string, landed: Landed): void {
    this.remember(key, new Trace(landed));
  }

  evicted(key: string, tier: TierName, reason: string): void {
    this.traceOf(key).evictedFrom[tier] = reason;
  }

  refused(key: string, reason: RefusalReason, detail: string): void {
    // what the disk had no room for is in memory all the same; every other refusal leaves nothing behind
    const isKept = reason === 'backlog' || reason === 'disk-full';
    const trace = isKept ? this.traceOf(key) : this.remember(key, new Trace());
    trace.refusal = { reason, detail };
  }

  /** A record of this lane that leaves no trace in the log once it has been carried out. */
  named({ kind, subject, position }: LogRecord): void {
    if (kind === 'key' || kind === 'expire') {
      this.traceOf(subject).named = { kind, subject, position };
    } else if (kind === 'pattern') {
      this.patterns = [{ pattern: new KeyPattern(subject), position }, ...this.patterns].slice(0, REMEMBERED_PATTERNS);
    }
  }

  /** The pattern by which what landed went. */
  patternOver(key: string, { birth, tags }: Landed): VoidedBy | undefined {
    const over = this.patterns.find(({ pattern, position }) => position > birth && pattern.matchesEntry(key, tags));
    return over === undefined ? undefined : { kind: 'pattern', position: over.position, subject: over.pattern.text };
  }

  private remember(key: string, trace: Trace): Trace {
    if (!this.traces.has(key)) {
      const forgotten = this.ring[this.oldest];
      if (forgotten !== undefined) this.traces.delete(forgotten);
      this.ring[this.oldest] = key;
      this.oldest = (this.oldest + 1) % REMEMBERED_KEYS;
    }
    this.traces.set(key, trace);
    return trace;
  }

  private traceOf(key: string): Trace {
    return this.traces.get(key) ?? this.remember(key, new Trace());
  }
}
