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

/** Settles as `work` does, or rejects with DeadlineError after `afterMs`; what `work` does later is ignored. */
export function withDeadline<T>(clock: Clock, work: Promise<T>, afterMs: number, what: string): Promise<T> {
  if (afterMs === Infinity) return work;
  return new Promise<T>((resolve, reject) => {
    const cancel = clock.schedule(afterMs, () => reject(new DeadlineError(what, afterMs)));
    work.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error: unknown) => {
        cancel();
        // Handed on as it came, whatever it is: an Error or not.
        reject(error);
      },
    );
  });
}

/** Resolves in a later turn of the event loop, after waiting input has been served. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
