import type { StepEvent } from './workflow/workflow-with-caching.js';

/** What a worker process tells its runner. */
export type WorkerMessage =
  | { readonly type: 'steps'; readonly documents: number; readonly names: readonly string[] }
  | { readonly type: StepEvent; readonly step: number }
  | { readonly type: 'result'; readonly result: Result };

export interface Result {
  /** What every step gave, told apart in type too. */
  readonly results: string;
  /** Every file of the site, as it lies on disk. */
  readonly site: string;
  /** The summary as a sentence. */
  readonly text: string;
}
