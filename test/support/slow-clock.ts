import { systemClock, type Clock } from '../../lib/clock/clock.js';

const TIMES = 20;

/** Timers take twenty times as long: an owner in the same, busy process has a second where it would have 50 ms. */
export const slowClock: Clock = Object.freeze({
  ...systemClock,
  schedule: (afterMs: number, run: () => void, kind?: 'background' | 'awaited') =>
    systemClock.schedule(afterMs * TIMES, run, kind),
});
