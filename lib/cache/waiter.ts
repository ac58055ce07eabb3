import { AsyncResource } from 'node:async_hooks';
import type { Flight } from './flight.js';
import type { Compute } from './options.js';
import type { Payload } from './payload.js';
import type { Terms } from './terms.js';

/** One caller waiting for a flight, with timeouts, signal and isolation of its own. */
export class Waiter {
  readonly promise: Promise<unknown>;
  /** The one it waits for, or has waited for last. */
  flight: Flight | undefined;
  /** Its soft timeout has passed: it takes a stale copy as soon as there is one. */
  isImpatient = false;
  /** Cancels its hard timeout, which bounds its flight even when it waits no more. */
  limit: (() => void) | undefined;
  private resolve: (value: unknown) => void = unset;
  private reject: (error: unknown) => void = unset;
  private cleanUps: (() => void)[] = [];

  constructor(
    public compute: Compute<unknown>,
    readonly terms: Terms,
    /**
     * Position of the log when it asked. Taken before a flight is opened for it: the computation starts at once, and
     * may invalidate what it is about.
     */
    readonly askedAt: number,
  ) {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** Its function may be called by another flight's end, and must then run as a part of its own caller. */
  keepContext(): void {
    this.compute = AsyncResource.bind(this.compute);
  }

  /** Runs once the caller has got its answer. */
  afterwards(cleanUp: () => void): void {
    this.cleanUps.push(cleanUp);
  }

  give(payload: Payload): void {
    this.settle();
    try {
      this.resolve(payload.give(this.terms.isolation));
    } catch (error) {
      this.reject(error);
    }
  }

  fail(error: unknown): void {
    this.settle();
    this.reject(error);
  }

  private settle(): void {
    for (const cleanUp of this.cleanUps) cleanUp();
    this.cleanUps = [];
  }
}

function unset(): never {
  throw new TypeError('the promise has not been made yet');
}
