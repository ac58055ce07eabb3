/** What an entry in memory holds: a value that all may share, or the encoded bytes of which each reader gets a copy. */
export type Held =
  { readonly kind: 'value'; readonly value: unknown } | { readonly kind: 'bytes'; readonly bytes: Uint8Array };

export interface MemoryEntryFields {
  readonly key: string;
  readonly tags: readonly string[];
  readonly birth: number;
  /** Orders entries of one birth; 0 for what was promoted from a tier below. */
  readonly flight: number;
  readonly landedAt: number;
  readonly expiresAt: number;
  readonly staleUntil: number;
  /** When a hit starts a renewal in the background; Infinity for never. */
  readonly refreshAt: number;
  readonly computeMs: number;
  /** Encoded bytes of the value before compression. */
  readonly sizeBytes: number;
  readonly schemaVersion: number;
  /** The invalidation log's stamp when the entry was found good. */
  readonly stamp: number;
  readonly held: Held;
}

/** An entry in memory. Its fields are flat and its class is one, because reading it is the hottest path there is. */
export class MemoryEntry {
  readonly key: string;
  readonly tags: readonly string[];
  readonly birth: number;
  readonly flight: number;
  readonly landedAt: number;
  readonly computeMs: number;
  readonly sizeBytes: number;
  readonly schemaVersion: number;
  readonly held: Held;
  expiresAt: number;
  staleUntil: number;
  refreshAt: number;
  /** Until then the entry may be served as it stands: shared, not due for renewal, not past its ttl. */
  quietUntil: number;
  stamp: number;
  accessCount = 0;
  usedAt: number;
  /** The resolved promise that every hit returns, made with the first hit. */
  promise: Promise<unknown> | undefined = undefined;

  constructor(fields: MemoryEntryFields) {
    this.key = fields.key;
    this.tags = fields.tags;
    this.birth = fields.birth;
    this.flight = fields.flight;
    this.landedAt = fields.landedAt;
    this.computeMs = fields.computeMs;
    this.sizeBytes = fields.sizeBytes;
    this.schemaVersion = fields.schemaVersion;
    this.held = fields.held;
    this.expiresAt = fields.expiresAt;
    this.staleUntil = fields.staleUntil;
    this.refreshAt = fields.refreshAt;
    this.stamp = fields.stamp;
    this.usedAt = fields.landedAt;
    this.quietUntil = 0;
    this.settle();
  }

  /** Renewal will not be started by a hit before `at`. */
  refreshFrom(at: number): void {
    this.refreshAt = at;
    this.settle();
  }

  /** Past its ttl at `at`, good as a stale copy for as long as its grace lasts from there. */
  expire(at: number): void {
    if (at >= this.expiresAt) return;
    this.staleUntil = at + (this.staleUntil - this.expiresAt);
    this.expiresAt = at;
    this.settle();
  }

  private settle(): void {
    this.quietUntil = this.held.kind === 'value' ? Math.min(this.expiresAt, this.refreshAt) : 0;
  }
}
