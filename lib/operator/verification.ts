import type { LaneManager } from '../cache/lane-manager.js';
import type { TierGate } from '../cache/guarded-tier.js';
import type { CheckpointService } from '../checkpoints/checkpoint-service.js';
import { nextTurn } from '../clock/timers.js';
import { isLaneCacheError } from '../errors/lane-cache.error.js';
import type { Verified } from './operations.js';

const STEP = 100;

/** Reads every entry that lies below the lane's memory, a peek that is no use of it. */
export async function* verifyEntries(manager: LaneManager, total: number): AsyncGenerator<Verified> {
  for (const gate of manager.insides.space.parts.below) {
    if (gate.name === 'l4' || gate.name === 'l1') continue;
    let keys: string[] = [];
    for await (const key of gate.keys(manager.lane)) {
      if (keys.push(key) < STEP) continue;
      yield { place: gate.name, lane: manager.lane, total, ...(await readAll(manager, gate, keys)) };
      keys = [];
      await nextTurn();
    }
    if (keys.length > 0) yield { place: gate.name, lane: manager.lane, total, ...(await readAll(manager, gate, keys)) };
  }
}

type Read = Pick<Verified, 'checked' | 'damaged' | 'damagedCount'>;

/** The tier itself finds and drops what is damaged, counts it as an error and answers as if it were not there. */
async function readAll(manager: LaneManager, gate: TierGate, keys: readonly string[]): Promise<Read> {
  const errors = (): number => manager.getMetrics()[gate.name].errors;
  const before = errors();
  const absent: string[] = [];
  for (const key of keys) {
    const lookup = await gate.peek(manager.lane, key);
    if (lookup.outcome !== 'hit') absent.push(key);
  }
  const damagedCount = Math.min(absent.length, errors() - before);
  return { checked: keys.length, damagedCount, damaged: damagedCount > 0 ? absent : [] };
}

/** Compares every version with its checksum. One that this app cannot rebuild, but that is intact, is sound. */
export async function* verifyCheckpoints(
  checkpoints: CheckpointService,
  lane: string | undefined,
  total: number,
): AsyncGenerator<Verified> {
  let checked = 0;
  let damaged: string[] = [];
  for await (const { id, version } of checkpoints.iterate(lane === undefined ? {} : { lane })) {
    checked++;
    const isSound = await checkpoints.getCheckpoint(id, { version }).then(
      () => true,
      (error: unknown) => !isLaneCacheError(error, 'CHECKPOINT_DAMAGED'),
    );
    if (!isSound) damaged.push(`${id}@${version}`);
    if (checked < STEP) continue;
    yield { place: 'checkpoints', checked, damaged, damagedCount: damaged.length, total };
    checked = 0;
    damaged = [];
  }
  yield { place: 'checkpoints', checked, damaged, damagedCount: damaged.length, total };
}
