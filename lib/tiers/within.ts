import type { Clock } from '../clock/clock.js';

/** Settles when `work` does, well or badly, and when `ms` have passed at the latest. */
export function within(clock: Clock, ms: number, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.schedule(ms, resolve);
    const done = (): void => {
      cancel();
      resolve();
    };
    work.then(done, done);
  });
}
