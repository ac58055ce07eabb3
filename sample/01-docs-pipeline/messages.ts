/** Messages from a worker process to the one that prints. */

export const LANES = ['docs', 'standard', 'heavy'] as const;
export type Lane = (typeof LANES)[number];
export type Range = readonly [from: number, to: number];

/** The difference of the lane's metrics after and before, so only this run counts. */
export interface LaneReport {
  readonly lane: Lane;
  readonly documents: number;
  readonly requests: number;
  readonly hits: { readonly l1: number; readonly l2: number; readonly l3: number };
  readonly misses: number;
  readonly wallMs: number;
  readonly targets: { readonly hitRate: Range | null; readonly speedUp: Range | null };
  /** A hash of all outputs, in the order of the requests. */
  readonly digest: string;
}

export type WorkerMessage =
  | {
      readonly type: 'progress';
      readonly run: string;
      readonly lane: Lane;
      readonly done: number;
      readonly total: number;
    }
  | { readonly type: 'report'; readonly run: string; readonly lanes: readonly LaneReport[] };
