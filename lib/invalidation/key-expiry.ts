/** When a key was put past its ttl, and where in the order. */
export interface KeyExpiry {
  readonly position: number;
  /** Life time of the call, epoch ms. */
  readonly at: number;
}
