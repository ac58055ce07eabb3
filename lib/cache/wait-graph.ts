import { AsyncLocalStorage } from 'node:async_hooks';
import { ReentrantError } from '../errors/cache.errors.js';

/** What a computation waits for. It may change while the computation waits. */
export interface Wait {
  readonly flight: Computation | undefined;
}

const NOTHING: readonly Computation[] = Object.freeze([]);

/**
 * A computation, or one that is queued, as a node of the graph of those that wait for each other.
 *
 * A caller that runs as a part of a computation makes that computation wait. Other callers are not in the graph, because
 * no computation waits for them.
 */
export class Computation {
  private waits: Set<Wait> | undefined;

  constructor(
    readonly lane: string,
    /** Undefined for a computation of several keys: each of them is a node of its own, which waits for this one. */
    readonly key: string | undefined,
  ) {}

  /** Computations of which one must end before this one can start. Empty once it runs. */
  get queuedBehind(): readonly Computation[] {
    return NOTHING;
  }

  waitFor(wait: Wait): void {
    this.waits ??= new Set();
    this.waits.add(wait);
  }

  waitNoLongerFor(wait: Wait): void {
    this.waits?.delete(wait);
  }

  /** What must end before this can end: all of them, or one of them while it is queued. */
  get waitsFor(): readonly Computation[] {
    const { queuedBehind } = this;
    if (queuedBehind.length > 0) return queuedBehind;
    if (this.waits === undefined || this.waits.size === 0) return NOTHING;
    return Array.from(this.waits, ({ flight }) => flight).filter((flight) => flight !== undefined);
  }
}

/** A place in the queue of a key: one of those that run has to end first. */
export class Queue extends Computation {
  constructor(
    lane: string,
    key: string,
    private readonly running: readonly Computation[],
  ) {
    super(lane, key);
  }

  override get queuedBehind(): readonly Computation[] {
    return this.running;
  }
}

/**
 * As part of which computation the code of one app runs.
 *
 * Up to Node.js 22 a storage slows every promise of the process until it is disabled. Only what runs can be part of a circle, so
 * it is disabled while nothing is computed.
 */
export class FlightScopes {
  private readonly storage = new AsyncLocalStorage<Computation>();
  private running = 0;
  private hasEnded = false;

  /** The innermost one. From Node.js 24 on, what was under way when the app closed still finds it in the storage. */
  get current(): Computation | undefined {
    return this.hasEnded ? undefined : this.storage.getStore();
  }

  /** Calls `work` at once. What it starts is part of `computation`, until it has ended. */
  async within<T>(computation: Computation, work: () => T | PromiseLike<T>): Promise<T> {
    if (this.hasEnded) return work();
    this.running++;
    try {
      return await this.storage.run(computation, work);
    } finally {
      if (--this.running === 0) this.storage.disable();
    }
  }

  /** The app has closed: nothing is part of a computation any more. */
  end(): void {
    this.hasEnded = true;
    this.storage.disable();
  }
}

/**
 * Throws ReentrantError if `asker` would wait for itself by waiting for one of `wanted`: these end only after `asker` has
 * ended. It is asked before every wait, so no circle of waits ever closes.
 */
export function refuseCircle(asker: Computation, wanted: readonly Computation[]): void {
  for (const first of wanted) {
    const circle = circleBetween(first, asker);
    if (circle === undefined) continue;
    const labels = circle.map(labelOf).filter((label) => label !== undefined);
    throw new ReentrantError(labels, { lane: first.lane, key: first.key });
  }
}

const labelOf = ({ lane, key }: Computation): string | undefined => (key === undefined ? undefined : `${lane}:${key}`);

/** From `first` to `asker`, and back to `first`. Undefined if `first` can end without `asker`. */
function circleBetween(first: Computation, asker: Computation): readonly Computation[] | undefined {
  const reached = reachableFrom(first, asker);
  if (!reached.has(asker)) return undefined;
  const free = thoseThatCanEnd(reached, asker);
  return free.has(first) ? undefined : [...pathThrough(first, asker, free), first];
}

/** All that `first` waits for, by any number of steps, and `first`. What `asker` waits for is left out. */
function reachableFrom(first: Computation, asker: Computation): ReadonlySet<Computation> {
  const reached = new Set([first]);
  // A set goes on to what is added to it meanwhile.
  for (const one of reached) if (one !== asker) for (const next of one.waitsFor) reached.add(next);
  return reached;
}

/** Those of `reached` that end by themselves if `asker` never ends. */
function thoseThatCanEnd(reached: ReadonlySet<Computation>, asker: Computation): ReadonlySet<Computation> {
  const free = new Set<Computation>();
  const isFree = (one: Computation): boolean => free.has(one);
  const canEnd = (one: Computation): boolean =>
    one.queuedBehind.length > 0 ? one.queuedBehind.some(isFree) : one.waitsFor.every(isFree);
  // The farthest first, because what they wait for decides about the others.
  const undecided = new Set([...reached].toReversed());
  undecided.delete(asker);
  for (let before = -1; before !== free.size;) {
    before = free.size;
    for (const one of undecided) {
      if (!canEnd(one)) continue;
      free.add(one);
      undecided.delete(one);
    }
  }
  return free;
}

/** A way from `first` to `asker` over computations that cannot end. */
function pathThrough(first: Computation, asker: Computation, free: ReadonlySet<Computation>): readonly Computation[] {
  const cameFrom = new Map<Computation, Computation | undefined>([[first, undefined]]);
  for (const [one] of cameFrom) {
    if (one === asker) break;
    for (const next of one.waitsFor) if (!free.has(next) && !cameFrom.has(next)) cameFrom.set(next, one);
  }
  const path: Computation[] = [];
  for (let one: Computation | undefined = asker; one !== undefined; one = cameFrom.get(one)) path.unshift(one);
  return path;
}
