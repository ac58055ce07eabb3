import { type Clock, nextTurn, systemClock } from './clock.js';

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

interface AwaitedWork {
  /** The number of the step that ends its time. */
  readonly until: number;
  readonly reject: (late: DeadlineError) => void;
}

/**
 * One deadline for many promises, with one timer for all. As with `withDeadline` only time in which the event loop turns
 * counts. One that starts while the timer runs may be given a step more.
 */
export class SharedDeadline {
  private readonly waiting = new Set<AwaitedWork>();
  private steps = 0;
  private cancelStep: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly afterMs: number,
    private readonly what: string,
  ) {}

  /** Settles as `work` does, or rejects with a DeadlineError. Keeps the process alive until then. */
  during<T>(work: Promise<T>): Promise<T> {
    if (this.afterMs === Infinity) return work;
    return new Promise<T>((resolve, reject) => {
      const one = { until: this.steps + (this.cancelStep === undefined ? STEPS : STEPS + 1), reject };
      this.waiting.add(one);
      this.cancelStep ??= this.step();
      work.then(
        (value) => {
          this.end(one);
          resolve(value);
        },
        (error: unknown) => {
          this.end(one);
          reject(error);
        },
      );
    });
  }

  private step(): () => void {
    let isCancelled = false;
    const turn = (): void =>
      void nextTurn().then(() => {
        if (!isCancelled) this.stepped();
      });
    const cancel = this.clock.schedule(this.afterMs / STEPS, turn, 'awaited');
    return () => {
      isCancelled = true;
      cancel();
    };
  }

  private stepped(): void {
    this.steps++;
    for (const one of this.waiting) {
      if (one.until > this.steps) continue;
      this.waiting.delete(one);
      one.reject(new DeadlineError(this.what, this.afterMs));
    }
    this.cancelStep = this.waiting.size > 0 ? this.step() : undefined;
  }

  private end(one: AwaitedWork): void {
    this.waiting.delete(one);
    if (this.waiting.size > 0) return;
    this.cancelStep?.();
    this.cancelStep = undefined;
  }
}

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
