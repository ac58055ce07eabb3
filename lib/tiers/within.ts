import type { Clock } from '../clock/clock.js';

/** Resolves when `work` has ended, well or badly, and when `ms` have passed at the latest. */
export async function within(clock: Clock, ms: number, work: Promise<unknown>): Promise<void> {
  const cancels: (() => void)[] = [];
  const deadline = new Promise<void>((resolve) => {
    cancels.push(clock.schedule(ms, resolve));
  });
  await Promise.race([Promise.allSettled([work]), deadline]);
  for (const cancel of cancels) cancel();
}
