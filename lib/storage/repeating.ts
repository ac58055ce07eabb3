import type { Clock } from '../clock/clock.js';

const nothing = (): void => undefined;

/**
 * Runs `step` every `ms`, counted from the end of the one before, until it resolves to `done`. A step that fails is
 * tried again. Returns the function that stops, and waits for the step that is under way.
 */
export const repeating = (clock: Clock, ms: number, step: () => Promise<'done' | 'again'>): (() => Promise<void>) => {
  let running: Promise<void> = Promise.resolve();
  let cancel = nothing;
  let stopped = false;
  const run = async (): Promise<void> => {
    const outcome = await step().catch(() => 'again');
    if (outcome !== 'done' && !stopped) next();
  };
  const next = (): void => {
    cancel = clock.schedule(ms, () => {
      running = run();
    });
  };
  next();
  return async () => {
    stopped = true;
    cancel();
    await running;
  };
};
