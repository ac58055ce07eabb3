import { nextTurn } from '../clock/clock.js';
import { TierSearch } from './tier-lookup.js';
import type { LaneContext } from './lane-context.js';
import { promote } from './write.js';

/** What became of what was to be warmed. */
export interface WarmReport {
  readonly computed: number;
  /** A tier had it. */
  readonly present: number;
  readonly failed: number;
}

/** What is warmed, and how. */
export interface Warming<T> {
  /** Names it in events and in the log. */
  readonly source: string;
  readonly items: readonly T[];
  readonly concurrency: number;
  /** Nothing more is begun once it is aborted. */
  readonly signal?: AbortSignal | undefined;
  readonly warm: (item: T) => Promise<'computed' | 'present'>;
}

export const DEFAULT_CONCURRENCY = 2;
/** Items between two events. */
const REPORT_EVERY = 100;

/** Warms a few items at a time, and ends early when the cache closes. What fails is counted. */
export async function warmAll<T>(context: LaneContext, warming: Warming<T>): Promise<WarmReport> {
  const { lane, shared } = context;
  const { source, items, concurrency, signal, warm } = warming;
  const counts = { computed: 0, present: 0, failed: 0 };
  const startedAt = shared.clock.monotonic();
  let next = 0;
  let error: unknown;
  const isStopped = (): boolean => signal?.aborted === true || shared.memory.state.state === 'off';
  const report = (state: 'started' | 'running' | 'done' | 'stopped'): void => {
    const durationMs = shared.clock.monotonic() - startedAt;
    const failure = error === undefined ? {} : { error };
    shared.events.emit('warm', { lane, source, state, total: items.length, ...counts, durationMs, ...failure });
  };
  const work = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined && !isStopped(); item = items[next++]) {
      try {
        counts[await warm(item)]++;
      } catch (failure) {
        counts.failed++;
        error ??= failure;
      }
      if ((counts.computed + counts.present + counts.failed) % REPORT_EVERY === 0) report('running');
      // What is present may be found without a turn of the event loop.
      await nextTurn();
    }
  };
  report('started');
  await Promise.all(Array.from({ length: concurrency }, work));
  report(counts.computed + counts.present + counts.failed < items.length ? 'stopped' : 'done');
  return counts;
}

/** Moves what the tiers below hold of the keys into memory while it has room, in slices. It counts no requests. */
export async function fillMemory(context: LaneContext, keys: readonly string[]): Promise<void> {
  const { shared, memory, policy, defaults, lane } = context;
  for (const key of keys) {
    if (shared.memory.state.state === 'off' || memory.usage().entries >= policy.l1.maxEntries) return;
    if (memory.peek(key) !== undefined) continue;
    const search = new TierSearch(context, key, defaults, 'peek').run();
    const guard = shared.log.open({ lane, key, tags: [] });
    try {
      await search.whenEnded(guard, (found) => {
        const hasRoom = memory.usage().sizeBytes + (found?.encoded.sizeBytes ?? 0) < policy.l1.maxBytes / 2;
        if (found !== undefined && hasRoom) promote(context, found, defaults.refreshAhead, 'given');
      });
    } finally {
      shared.log.close(guard);
    }
    await nextTurn();
  }
}
