import { nextTurn } from './clock.js';

/** Items that are begun between two turns of the event loop. */
const SLICE_ITEMS = 64;
/** Items that are under way at most. */
const ITEMS_AT_ONCE = 1_024;

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
 * Does `work` for every item, in order, and resolves to the results. The event loop turns between slices of items, and while
 * many items are under way no more are begun. After a failure all the others are still done; then the first one rejects.
 */
export async function inSlices<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<readonly R[]> {
  if (items.length <= SLICE_ITEMS) return resultsOf(await Promise.allSettled(items.map(work)));
  const slices: Promise<readonly PromiseSettledResult<R>[]>[] = [];
  for (let start = 0; start < items.length; start += SLICE_ITEMS) {
    slices.push(Promise.allSettled(items.slice(start, start + SLICE_ITEMS).map(work)));
    await slices.at(-ITEMS_AT_ONCE / SLICE_ITEMS);
    await nextTurn();
  }
  return resultsOf((await Promise.all(slices)).flat());
}

function resultsOf<R>(settled: readonly PromiseSettledResult<R>[]): readonly R[] {
  return settled.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}
