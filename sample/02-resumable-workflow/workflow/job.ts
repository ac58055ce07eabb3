/** One step of a job: named, repeatable, and told what the steps before it gave. */
export interface Step<R> {
  readonly name: string;
  run(earlier: readonly R[]): Promise<R>;
}

/** A job of steps, one after the other. Cut off in the middle of a step, that step can be done again. */
export interface Job<R> {
  readonly steps: readonly Step<R>[];
}
