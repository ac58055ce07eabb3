import type { Clock } from '../clock/clock.js';

/** Settles as `work` does, or rejects with what `onLate` returns once `ms` have passed. `work` itself goes on. */
export const inTime = <T>(work: Promise<T>, clock: Clock, ms: number, onLate: () => Error): Promise<T> =>
  new Promise((resolve, reject) => {
    const cancel = clock.schedule(ms, () => reject(onLate()));
    work.finally(cancel).then(resolve, reject);
  });
