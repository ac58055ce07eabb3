import type { InvalidationGuard } from '../invalidation/lane-log.js';
import type { Invalidations } from './invalidate.js';
import type { LaneContext } from './lane-context.js';
import { TierSearch } from './tier-lookup.js';

/**
 * Removes what is older than a result that is not stored. Its callers have seen the newer result, so nobody may get an older
 * one after them, also not inside its grace.
 */
export class OlderValues {
  constructor(
    private readonly context: LaneContext,
    private readonly invalidations: Invalidations,
  ) {}

  /** Takes effect in this step. A tier that fails to remove it serves nothing that is older, so no caller has to know. */
  remove(unstored: InvalidationGuard): void {
    if (this.context.shared.memory.state.state === 'off') return;
    this.invalidations.dropOlder(this.context, unstored).catch(() => undefined);
  }

  /** Runs what goes past the cache, and then removes what the tiers hold of the keys, unless it is newer. */
  async removeAfter<T>(keys: readonly string[], run: () => T): Promise<Awaited<T>> {
    const { shared, lane } = this.context;
    const guards = keys.map((key) => shared.log.open({ lane, key, tags: [] }));
    // What begins from here on is newer.
    shared.log.pass();
    try {
      const value = await run();
      await Promise.all(guards.map((guard) => this.removeIfHeld(guard)));
      return value;
    } finally {
      for (const guard of guards) shared.log.close(guard);
    }
  }

  private async removeIfHeld(guard: InvalidationGuard): Promise<void> {
    const { key } = guard.subject;
    if (await this.isHeld(key, guard)) this.remove(guard);
  }

  private async isHeld(key: string, guard: InvalidationGuard): Promise<boolean> {
    const { context } = this;
    const { log } = context.shared;
    if (guard.isSuperseded) return false;
    if (context.memory.peek(key) !== undefined || log.hasOlderFlights(guard)) return true;
    const search = new TierSearch(context, key, context.defaults, 'peek').run();
    const looking = log.open({ lane: context.lane, key, tags: [] });
    try {
      const isThere = await search.whenEnded(looking, (found) => found !== undefined || search.mayHoldOlder);
      return isThere && !guard.isSuperseded;
    } finally {
      log.close(looking);
    }
  }
}
