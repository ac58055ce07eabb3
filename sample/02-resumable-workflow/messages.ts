/** Messages from a worker process to its runner. */
export type WorkerMessage =
  | { readonly type: 'steps'; readonly documents: number; readonly names: readonly string[] }
  | { readonly type: StepEvent; readonly step: number }
  | { readonly type: 'result'; readonly result: Result };

/** The events of a step. `adopted`: another process ran it meanwhile. */
export type StepEvent = 'started' | 'saved' | 'restored' | 'adopted' | 'failed';

export interface Result {
  /** The result of every step, with types. */
  readonly results: string;
  /** Every file of the site, as it is on disk. */
  readonly site: string;
  /** The summary as a sentence. */
  readonly text: string;
}
