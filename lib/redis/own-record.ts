import { sealRecord, type OpenedRecord } from '../entries/record.js';
import { FoundRecord } from '../tiers/found-record.js';
import type { TierRecord } from '../tiers/tier.js';

/**
 * A record of the server as this process may hold it: born at a position of its own, and living no longer than the
 * server lets it, since clocks of two machines may differ. Its bytes are made when a tier asks for them.
 */
export class OwnRecord implements OpenedRecord {
  readonly key: string;
  readonly tags: readonly string[];
  readonly landedAt: number;
  readonly expiresAt: number;
  readonly staleUntil: number;
  readonly computeMs: number;
  readonly appVersion: string;
  readonly schemaVersion: number;
  readonly value: Uint8Array;
  private sealed: Uint8Array | undefined;

  constructor(
    record: OpenedRecord,
    readonly birth: number,
    /** Life time at which the server lets it go. */
    goneAt: number,
  ) {
    const excess = Math.max(0, record.staleUntil - goneAt);
    this.key = record.key;
    this.tags = record.tags;
    this.landedAt = record.landedAt;
    this.expiresAt = record.expiresAt - excess;
    this.staleUntil = record.staleUntil - excess;
    this.computeMs = record.computeMs;
    this.appVersion = record.appVersion;
    this.schemaVersion = record.schemaVersion;
    this.value = record.value;
  }

  get bytes(): Uint8Array {
    this.sealed ??= sealRecord(this);
    return this.sealed;
  }

  /** As a tier gives it. */
  get found(): TierRecord {
    return new FoundRecord(this);
  }
}
