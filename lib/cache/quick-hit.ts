import { readsAsUsual } from './call-checks.js';
import type { LaneSpace } from './lane-space.js';
import type { EntryOptions } from './options.js';

/**
 * The hottest path there is: the resolved promise of an entry that can be handed out as it stands. It is found by one
 * look into memory, one compare with the log and one with the clock; all else takes the long way, and so does a doubt.
 */
export function quickHit(
  space: LaneSpace,
  key: string,
  options: EntryOptions | undefined,
): Promise<unknown> | undefined {
  if (options !== undefined && !readsAsUsual(options)) return undefined;
  const { parts, recorder } = space;
  const entry = space.memory.get(key);
  if (entry === undefined || entry.stamp !== parts.log.stamp || entry.schemaVersion !== 0) return undefined;
  const now = parts.life.now();
  if (now >= entry.quietUntil || (parts.shared !== undefined && now >= parts.shared.heardUntil)) return undefined;
  entry.accessCount++;
  entry.usedAt = now;
  recorder.hit('l1', entry.computeMs);
  if (parts.events.wants('hit')) parts.events.emit('hit', { lane: space.lane, key, tier: 'l1' });
  entry.promise ??= Promise.resolve(entry.held.kind === 'value' ? entry.held.value : undefined);
  return entry.promise;
}
