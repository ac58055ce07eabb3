import { type Clock, nextTurn } from './clock.js';

/** Items that are begun between two turns of the event loop. */
const SLICE_ITEMS = 128;
/** Large items fill a slice sooner: the event loop is not held for longer than this, and one item. */
const SLICE_MS = 3;
/** Slices that are under way at most. */
const SLICES_AT_ONCE = 8;

/** Measures work, and lets the event loop turn after each slice of it. */
export class Slices {
  private done = 0;

  /** Resolves in the next turn once a slice is full, which `items` more items are added to. Undefined while it is not. */
  after(items = 1): Promise<void> | undefined {
    this.done += items;
    if (this.done < SLICE_ITEMS) return undefined;
    this.done = 0;
    return nextTurn();
  }
}

/**
 * Hands the items to `begin` in slices, in order, and resolves to what it came to. `begin` takes all items of a slice before
 * it awaits anything, and may leave some to the next one. The event loop turns between slices, and while many are under way
 * no more are begun, nor while `room` returns something to wait for. After a failure all the others are still done; then the
 * first one rejects.
 */
export async function bySlices<T, R>(
  clock: Clock,
  items: readonly T[],
  begin: (slice: Iterable<T>) => Promise<R>,
  room: () => Promise<unknown> | undefined = () => undefined,
): Promise<readonly R[]> {
  const slices: Promise<readonly PromiseSettledResult<R>[]>[] = [];
  for (let next = 0; next < items.length;) {
    for (let wait = room(); wait !== undefined; wait = room()) await wait;
    const slice = function* (): Generator<T, void, undefined> {
      const [end, until] = [next + SLICE_ITEMS, clock.monotonic() + SLICE_MS];
      do yield items[next++] as T;
      while (next < items.length && next < end && clock.monotonic() < until);
    };
    slices.push(Promise.allSettled([begin(slice())]));
    if (next === items.length) break;
    await slices.at(-SLICES_AT_ONCE);
    await nextTurn();
  }
  return resultsOf((await Promise.all(slices)).flat());
}

/** Does `work` for every item, in order and in slices, and resolves to the results. */
export async function inSlices<T, R>(
  clock: Clock,
  items: readonly T[],
  work: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const slices = await bySlices(clock, items, (slice) => Promise.allSettled(Array.from(slice, work)));
  return resultsOf(slices.flat());
}

function resultsOf<R>(settled: readonly PromiseSettledResult<R>[]): readonly R[] {
  return settled.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}
