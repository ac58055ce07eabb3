/** Something that is wrong, or soon will be. */
export interface Finding {
  readonly lane?: string;
  /** Stable, for scripts. */
  readonly code: string;
  readonly severity: 'error' | 'warning';
  /** The numbers or facts that prove it. */
  readonly evidence: string;
  /** What to change. */
  readonly advice: string;
}
