import { systemClock } from '../clock/clock.js';
import { DeadlineError, nextTurn } from '../clock/timers.js';

/**
 * Settles as `sent` does, or rejects with DeadlineError after `timeoutMs`. An answer that has come counts, however late
 * this process gets to it: where the event loop was held up, its timers run before its sockets are read.
 */
export function answer(sent: Promise<unknown>, timeoutMs: number): Promise<unknown> {
  if (timeoutMs === Infinity) return sent;
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(new DeadlineError('Redis', timeoutMs));
    const cancel = systemClock.schedule(timeoutMs, () => void nextTurn().then(giveUp));
    sent.then(resolve, reject).finally(cancel);
  });
}
