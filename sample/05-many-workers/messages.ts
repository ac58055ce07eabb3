/** What the primary sends to a worker. */
export type Order = 'report' | 'flush' | 'stop';

/** What a worker says about itself. */
export interface Report {
  readonly role: 'owner' | 'follower' | 'alone' | undefined;
  readonly l3: 'on' | 'off' | 'degraded';
  readonly requests: number;
  readonly computed: number;
  readonly hits: { readonly l1: number; readonly l2: number; readonly l3: number };
}
