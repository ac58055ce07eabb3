import type { Clock } from './clock.js';

/** Something did not settle in the time it was given. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';

  constructor(
    what: string,
    readonly afterMs: number,
  ) {
    super(`${what} did not answer within ${afterMs} ms`);
  }
}

/**
 * Settles as `work` does, or rejects after `afterMs`: with a DeadlineError that names `late`, or with the error that
 * `late` makes. What `work` does later is ignored.
 */
export function withDeadline<T>(
  clock: Clock,
  work: Promise<T>,
  afterMs: number,
  late: string | (() => Error),
): Promise<T> {
  if (afterMs === Infinity) return work;
  return new Promise<T>((resolve, reject) => {
    const cancel = clock.schedule(afterMs, () =>
      reject(typeof late === 'string' ? new DeadlineError(late, afterMs) : late()),
    );
    work.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error: unknown) => {
        cancel();
        // passed on as it is, an Error or not
        reject(error);
      },
    );
  });
}

/** Resolves when `work` has settled, in whichever way, and after `afterMs` at the latest. */
export async function settledWithin(clock: Clock, work: Promise<unknown>, afterMs: number): Promise<void> {
  await withDeadline(clock, work, afterMs, 'it').catch(() => undefined);
}
