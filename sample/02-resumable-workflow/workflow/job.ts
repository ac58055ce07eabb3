/** One step of a job: it has a name, can be repeated, and gets the results of the steps before it. */
export interface Step<R> {
  readonly name: string;
  run(earlier: readonly R[]): Promise<R>;
}

/** A job of consecutive steps. A step that was interrupted can be repeated. */
export interface Job<R> {
  readonly steps: readonly Step<R>[];
}
