import { type Clock, systemClock } from './clock.js';

const LONG_MS = 2 ** 30;

/** Keeps the process alive while a caller awaits what would not keep it alive by itself, such as a timer. */
export class KeepAlive {
  private waiting = 0;
  private cancel: (() => void) | undefined;

  constructor(private readonly clock: Clock = systemClock) {}

  /** Keeps the process alive until the returned function is called. */
  enter(): () => void {
    this.waiting++;
    this.cancel ??= this.clock.schedule(LONG_MS, () => undefined, 'awaited');
    let hasLeft = false;
    return () => {
      if (hasLeft) return;
      hasLeft = true;
      if (--this.waiting === 0) this.end();
    };
  }

  /** Keeps the process alive until `work` settles. Returns `work`. */
  during<T>(work: Promise<T>): Promise<T> {
    const leave = this.enter();
    work.then(leave, leave);
    return work;
  }

  /** Keeps the process alive no longer, even if some of the work never settles. */
  end(): void {
    this.cancel?.();
    this.cancel = undefined;
  }
}
