const LONG_MS = 2 ** 30;

/** Keeps the process alive while a caller awaits what would not keep it alive by itself, such as a timer. */
export class KeepAlive {
  private waiting = 0;
  private timer: NodeJS.Timeout | undefined;

  /** Keeps the process alive until `work` settles. Returns `work`. */
  during<T>(work: Promise<T>): Promise<T> {
    this.waiting++;
    this.timer ??= setInterval(() => undefined, LONG_MS);
    const leave = (): void => {
      if (--this.waiting === 0) this.end();
    };
    work.then(leave, leave);
    return work;
  }

  /** Keeps the process alive no longer, even if some of the work never settles. */
  end(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }
}
