import { KeyPattern } from '../entries/pattern.js';
import type { TierName } from '../entries/tier-name.js';
import type { RefusalReason } from '../events/reasons.js';
import type { VoidedBy } from '../invalidation/invalidation-log.js';
import type { LogRecord } from '../invalidation/journal.js';

/** The life of an entry when it was stored. */
export interface StoredTrace {
  readonly birth: number;
  readonly tags: readonly string[];
  /** Epoch ms, by the life clock. */
  readonly expiresAt: number;
}

/** What is known of a key, whether a tier holds it or not. */
export interface KeyTrace {
  readonly stored?: StoredTrace;
  /** The tiers that evicted it since, with the reason. */
  readonly evictedFrom: Readonly<Partial<Record<TierName, string>>>;
  readonly refusal?: { readonly reason: RefusalReason; readonly detail: string };
  /** The last record that named the key itself. */
  readonly named?: VoidedBy;
}

/** Something that happened to a key. */
type Happening =
  | { readonly what: 'stored'; readonly key: string; readonly stored: StoredTrace }
  | { readonly what: 'evicted'; readonly key: string; readonly tier: TierName; readonly reason: string }
  | { readonly what: 'refused'; readonly key: string; readonly reason: RefusalReason; readonly detail: string }
  | { readonly what: 'named'; readonly key: string; readonly named: VoidedBy };

const REMEMBERED = 4_096;
const REMEMBERED_PATTERNS = 64;
const NOTHING: KeyTrace = Object.freeze({ evictedFrom: Object.freeze({}) });

/**
 * What happened to the keys that a lane stored, refused or lost last. Each event is noted, which is frequent, and read
 * for an explanation, which is rare. Hits are not noted.
 */
export class KeyHistory {
  /** The oldest is overwritten. */
  private readonly ring: Happening[] = [];
  private next = 0;
  private patterns: readonly { readonly pattern: KeyPattern; readonly position: number }[] = [];

  /** Undefined for a key without events, or whose events are forgotten. */
  of(key: string): KeyTrace | undefined {
    let trace: KeyTrace | undefined;
    for (let age = this.ring.length; age > 0; age--) {
      const happening = this.ring[(this.next - age + this.ring.length) % this.ring.length];
      if (happening?.key === key) trace = after(trace ?? NOTHING, happening);
    }
    return trace;
  }

  stored(key: string, stored: StoredTrace): void {
    this.ring[this.next] = { what: 'stored', key, stored };
    this.next = (this.next + 1) % REMEMBERED;
  }

  evicted(key: string, tier: TierName, reason: string): void {
    this.remember({ what: 'evicted', key, tier, reason });
  }

  refused(key: string, reason: RefusalReason, detail: string): void {
    this.remember({ what: 'refused', key, reason, detail });
  }

  /** Notes a record of this lane that leaves no trace in the log once it is carried out. */
  named({ kind, subject, position }: LogRecord): void {
    if (kind === 'key' || kind === 'expire') {
      this.remember({ what: 'named', key: subject, named: { kind, subject, position } });
    } else if (kind === 'pattern') {
      this.patterns = [{ pattern: new KeyPattern(subject), position }, ...this.patterns].slice(0, REMEMBERED_PATTERNS);
    }
  }

  /** The pattern that removed the entry, if one did. */
  patternOver(key: string, { birth, tags }: StoredTrace): VoidedBy | undefined {
    const over = this.patterns.find(({ pattern, position }) => position > birth && pattern.matchesEntry(key, tags));
    return over === undefined ? undefined : { kind: 'pattern', position: over.position, subject: over.pattern.text };
  }

  private remember(happening: Happening): void {
    this.ring[this.next] = happening;
    this.next = (this.next + 1) % REMEMBERED;
  }
}

function after(trace: KeyTrace, happening: Happening): KeyTrace {
  switch (happening.what) {
    case 'stored':
      return { stored: happening.stored, evictedFrom: {} };
    case 'evicted':
      return { ...trace, evictedFrom: { ...trace.evictedFrom, [happening.tier]: happening.reason } };
    case 'refused': {
      const { reason, detail } = happening;
      // Memory keeps an entry that the disk had no room for. Every other refusal leaves nothing behind.
      const isKept = reason === 'backlog' || reason === 'disk-full';
      return { ...(isKept ? trace : NOTHING), refusal: { reason, detail } };
    }
    default:
      return { ...trace, named: happening.named };
  }
}
