import { randomBytes } from 'node:crypto';
import { performance as nodePerformance } from 'node:perf_hooks';
import * as timers from 'node:timers';

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

  /** Never goes back before `time`, the latest time that an earlier process has seen. */
  notBefore(time: number): void {
    this.life = Math.max(this.life, time);
  }

  now(): number {
    const steady = this.clock.monotonic();
    const steadyStep = steady - this.steady;
    if (steadyStep < this.readWallEveryMs) return this.life + steadyStep;
    const wall = this.clock.now();
    const wallStep = wall - this.wall;
    const step = wallStep > steadyStep + WALL_RESOLUTION_MS ? wallStep : steadyStep;
    if (step > 0) this.life += step;
    this.wall = wall;
    this.steady = steady;
    return this.life;
  }
}
