/** An entry as it is put into bytes. */
export interface RecordFields {
  readonly key: string;
  readonly tags: readonly string[];
  /** Position in the invalidation log at which the computation of the value started. */
  readonly birth: number;
  /** Epoch ms at which the computation ended. */
  readonly landedAt: number;
  /** Epoch ms at which the ttl ends. */
  readonly expiresAt: number;
  /** Epoch ms at which ttl and grace end; never before `expiresAt`. */
  readonly staleUntil: number;
  /** What computing the value took. */
  readonly computeMs: number;
  /** The app's `version` option. */
  readonly appVersion: string;
  /** The call's `version` option. */
  readonly schemaVersion: number;
  /** The encoded value. */
  readonly value: Uint8Array;
}
