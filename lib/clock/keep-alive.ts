const LONG_MS = 2 ** 30;

/** Keeps the process alive while somebody waits for what would not keep it alive by itself. */
export class KeepAlive {
  private waiting = 0;
  private timer: NodeJS.Timeout | undefined;

  /** Settles as `work` does. */
  during<T>(work: Promise<T>): Promise<T> {
    this.waiting++;
    this.timer ??= setInterval(() => undefined, LONG_MS);
    this.timer.ref();
    const leave = (): void => {
      if (--this.waiting === 0) this.timer?.unref();
    };
    work.then(leave, leave);
    return work;
  }

  /** Nobody will wait any more. */
  end(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }
}

const A_LONG_WHILE_MS = 2 ** 30;

/**
 * Keeps the process alive while a caller awaits what only timers, which don't, would bring about. Returns the function
 * that lets go.
 */
export const keepAlive = (): (() => void) => {
  const timer = setInterval(() => undefined, A_LONG_WHILE_MS);
  return () => clearInterval(timer);
};
