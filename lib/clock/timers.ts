import { type Clock, nextTurn } from './clock.js';

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

/** A deadline is counted in so many steps. */
const STEPS = 5;

/**
 * Runs `run` once, when the event loop has been turning for `afterMs`; a loop that is blocked, or a process that is stopped,
 * adds one step at most. After each step whatever input has arrived is served first. Returns the cancel function.
 */
export function scheduleWhileTurning(clock: Clock, afterMs: number, run: () => void): () => void {
  const stepMs = Math.floor(afterMs / STEPS);
  let isCancelled = false;
  let cancelStep = (): void => undefined;
  const wait = (steps: number): void => {
    const thisMs = steps === 1 ? afterMs - stepMs * (STEPS - 1) : stepMs;
    cancelStep = clock.schedule(thisMs, () => {
      void nextTurn().then(() => {
        if (isCancelled) return;
        if (steps === 1) run();
        else wait(steps - 1);
      });
    });
  };
  wait(STEPS);
  return () => {
    isCancelled = true;
    cancelStep();
  };
}

/**
 * Settles as `work` does, or rejects after `afterMs`: with a DeadlineError that names `late`, or with the error that
 * `late` makes. What `work` does later is ignored. Only time in which the event loop turns counts.
 */
export function withDeadline<T>(
  clock: Clock,
  work: Promise<T>,
  afterMs: number,
  late: string | (() => Error),
): Promise<T> {
  if (afterMs === Infinity) return work;
  return new Promise<T>((resolve, reject) => {
    const cancel = scheduleWhileTurning(clock, afterMs, () =>
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
