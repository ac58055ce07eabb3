import { KeyPattern } from '../entries/pattern.js';
import type { TierName } from '../entries/tier-name.js';
import type { RefusalReason } from '../events/reasons.js';
import type { LogRecord } from '../invalidation/journal.js';
import type { VoidedBy } from '../invalidation/invalidation-log.js';

/** The life of an entry when it was stored. */
export interface StoredTrace {
  readonly birth: number;
  readonly tags: readonly string[];
  /** Life time, epoch ms. */
  readonly expiresAt: number;
}

/** What is still known of a key, whether a tier holds it or not. */
export interface KeyTrace {
  readonly stored?: StoredTrace;
  /** What of it was evicted since, and from where. */
  readonly evictedFrom: Readonly<Partial<Record<TierName, string>>>;
  readonly refusal?: { readonly reason: RefusalReason; readonly detail: string };
  /** The last record that named the key itself. */
  readonly named?: VoidedBy;
}

/** Something that became of a key. */
type Happening =
  | { readonly what: 'stored'; readonly key: string; readonly stored: StoredTrace }
  | { readonly what: 'evicted'; readonly key: string; readonly tier: TierName; readonly reason: string }
  | { readonly what: 'refused'; readonly key: string; readonly reason: RefusalReason; readonly detail: string }
  | { readonly what: 'named'; readonly key: string; readonly named: VoidedBy };

const REMEMBERED = 4_096;
const REMEMBERED_PATTERNS = 64;
const NOTHING: KeyTrace = Object.freeze({ evictedFrom: Object.freeze({}) });

/**
 * What became of the keys that a lane stored, refused or lost last. It is taken down as it happens, often, and put
 * together when somebody asks for an explanation, seldom. Never told of a hit.
 */
export class KeyHistory {
  /** The oldest is overwritten. */
  private readonly ring: Happening[] = [];
  private next = 0;
  private patterns: readonly { readonly pattern: KeyPattern; readonly position: number }[] = [];

  /** Undefined of a key that has not been heard of, or too long ago. */
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

  /** A record of this lane that leaves no trace in the log once it has been carried out. */
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
      // what the disk had no room for is in memory all the same; every other refusal leaves nothing behind
      const isKept = reason === 'backlog' || reason === 'disk-full';
      return { ...(isKept ? trace : NOTHING), refusal: { reason, detail } };
    }
    default:
      return { ...trace, named: happening.named };
  }
}
