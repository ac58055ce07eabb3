import * as timers from 'node:timers';
import { randomBytes } from 'node:crypto';
import { performance as nodePerformance } from 'node:perf_hooks';

/** Time and timers for the library: the only access to the machine's clocks. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Milliseconds since some start; they never go back. */
  monotonic(): number;
  /** Milliseconds for which the event loop has waited for something to happen. Absent where nobody knows. */
  idle?(): number;
  /**
   * Runs `run` once after `afterMs`. Returns the cancel function. Only an 'awaited' timer keeps the process alive (default
   * 'background').
   */
  schedule(afterMs: number, run: () => void, kind?: 'background' | 'awaited'): () => void;
}

/**
 * The wall clock and the timers as they were when the library was loaded. Undefined if a test runner had replaced the clocks by
 * then.
 *
 * Every hit reads a clock, and to look `performance` up among the globals took 6 of its 84 ns. So its module is asked, as long
 * as the clocks are those of the machine. A test runner that replaces `performance` replaces one of these with it.
 */
const machine = Object.is(performance, nodePerformance)
  ? Object.freeze({ wall: Date.now, timer: setTimeout })
  : undefined;
const areOfMachine = (): boolean => Date.now === machine?.wall && setTimeout === machine.timer;

/** A timer of Node that is longer than this ends at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The clock of the machine, or what a test runner has put in its place. */
export const systemClock: Clock = Object.freeze({
  now: () => Date.now(),
  monotonic: () => (areOfMachine() ? nodePerformance.now() : performance.now()),
  idle: () => nodePerformance.eventLoopUtilization().idle,
  schedule: (afterMs: number, run: () => void, kind: 'background' | 'awaited' = 'background') => {
    let timer: NodeJS.Timeout;
    const wait = (ms: number): void => {
      timer = ms > LONGEST_TIMER_MS ? setTimeout(wait, LONGEST_TIMER_MS, ms - LONGEST_TIMER_MS) : setTimeout(run, ms);
      if (kind === 'background') timer.unref();
    };
    wait(afterMs);
    return () => clearTimeout(timer);
  },
});

/** The last time (epoch ms) that a date can show. */
const LAST_DATE_MS = 8.64e15;

/**
 * A clock of the app, where the last reading stands for each that throws, or is none: a time that is no number would spoil
 * every sum and each expiry it enters. Throws what `refuse` makes if the first reading is none.
 */
export function checkedClock(clock: Clock, refuse: (what: string) => Error): Clock {
  const checked = (name: 'now' | 'monotonic'): (() => number) => {
    let last = Number.NaN;
    const read = (): number => {
      try {
        const reading: unknown = clock[name]();
        if (typeof reading === 'number' && Math.abs(reading) <= LAST_DATE_MS) last = reading;
      } catch {
        // the last reading stands
      }
      return last;
    };
    if (Number.isNaN(read())) throw refuse(`${name}() must give a number of milliseconds`);
    return read;
  };
  return {
    now: checked('now'),
    monotonic: checked('monotonic'),
    ...(clock.idle !== undefined && { idle: () => clock.idle?.() ?? 0 }),
    schedule: (afterMs, run, kind) => clock.schedule(afterMs, run, kind),
  };
}

/** Longer than any computation. The sum of many such times is still a number. */
const LONGEST_MS = 1e12;

/** What cannot be a duration counts as none, such as infinity from an app's own clock: it would spoil every sum it enters. */
export const plausibleMs = (ms: number): number => (ms >= 0 && ms < LONGEST_MS ? ms : 0);

/** A fraction in [0, 1), for spreading load; not for secrets. */
export const randomFraction = (): number => Math.random();

/** 128 unguessable bits as 32 hexadecimal digits. */
export const randomId = (): string => randomBytes(16).toString('hex');

/** Kept from before a test runner replaces timers by fake ones, under which no turn would ever come. */
const { setImmediate } = timers;

/** Taken when the library is loaded: test runners replace it. */
const nextTick: (run: () => void) => void = process.nextTick.bind(process);

/** Runs `run` when the code that runs now has returned, before the system is asked for news. */
export const afterThisStep = (run: () => void): void => nextTick(run);

/** Resolves in a later turn of the event loop, after waiting input has been served. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * The wall clock counts whole milliseconds, so one of its steps may be this much longer than the time that has passed. Such a
 * step is no jump: to take it as one at each reading makes the time run some percent too fast.
 */
const WALL_RESOLUTION_MS = 1;

/**
 * The time by which entries expire, in epoch milliseconds.
 *
 * It advances by the larger of the monotonic and the wall step. So neither a suspended machine (its monotonic clock
 * stops) nor a wall clock that is set back makes an entry live longer. A wall clock that is set forward ends lives
 * early.
 */
export class LifeClock {
  private life: number;
  private wall: number;
  private steady: number;
  /** Reading one clock of the machine takes as long as the rest of a hit in memory, so mostly only one is read. */
  private readonly readWallEveryMs: number;

  /** Notices a step of the machine's wall clock, or its suspension, within 5 ms; a step of another clock at once. */
  constructor(private readonly clock: Clock) {
    this.readWallEveryMs = clock === systemClock ? 5 : 0;
    this.wall = clock.now();
    this.steady = clock.monotonic();
    this.life = this.wall;
  }

  /** Never goes back before `time`, the latest time that another process has seen, or an earlier one. */
  notBefore(time: number): void {
    this.life = Math.max(this.now(), time);
  }

  now(): number {
    const steady = this.clock.monotonic();
    const steadyStep = steady - this.steady;
    if (steadyStep < this.readWallEveryMs) return this.life + steadyStep;
    const wall = this.clock.now();
    if (wall - this.wall > steadyStep + WALL_RESOLUTION_MS) this.jump(wall);
    else this.advance(steadyStep, wall, steady);
    return this.life;
  }

  /** The wall clock seems to have made a larger step. A process that was held up between the two readings sees that too. */
  private jump(wall: number): void {
    const steady = this.clock.monotonic();
    const [wallStep, steadyStep] = [wall - this.wall, steady - this.steady];
    this.advance(wallStep > steadyStep + WALL_RESOLUTION_MS ? wallStep : steadyStep, wall, steady);
  }

  private advance(step: number, wall: number, steady: number): void {
    if (step > 0) this.life += step;
    this.wall = wall;
    this.steady = steady;
  }
}

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
  reject: (late: DeadlineError) => void;
}

const nothing = (): void => undefined;

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
    // When a Set grows, V8 keeps its former table, with all that waited then, until it collects the whole heap.
    one.reject = nothing;
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
