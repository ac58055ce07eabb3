import type { OpenedRecord } from '../entries/record.js';
import type { TierRecord } from './tier.js';

/** A record that was found and opened. Where its bytes have to be made anew, that waits until they are wanted. */
export class FoundRecord implements TierRecord {
  readonly key: string;
  readonly tags: readonly string[];
  readonly birth: number;
  readonly computeMs: number;

  constructor(
    readonly opened: OpenedRecord,
    readonly expiresAt = opened.staleUntil,
  ) {
    this.key = opened.key;
    this.tags = opened.tags;
    this.birth = opened.birth;
    this.computeMs = opened.computeMs;
  }

  get bytes(): Uint8Array {
    return this.opened.bytes;
  }
}
