import type { CheckpointStatus, CleanupReport } from '../checkpoints/checkpoint.js';
import type { MetricsReport } from '../metrics/lane-cache-metrics.js';
import type { AppDescription } from './operations.js';
import { bytesText, many, spanText } from '../texts/amounts.js';
import type { Finding } from '../errors/finding.js';

const HEAP_NEARLY_FULL = 0.85;
const HEAP_SHARE_OF_CACHE = 0.5;
const CLOCK_STEP_MS = 60_000;

/** A heap that is nearly full or mostly cache, and the lane with the largest share. */
export function memoryFindings({ memory }: AppDescription, { lanes }: MetricsReport): readonly Finding[] {
  const { heapUsedBytes, heapLimitBytes, rssBytes } = memory;
  const held = Object.values(lanes).toSorted((a, b) => b.l1.sizeBytes - a.l1.sizeBytes);
  const [largest] = held;
  const total = held.reduce((sum, { l1 }) => sum + l1.sizeBytes, 0);
  const isFull = heapUsedBytes / heapLimitBytes >= HEAP_NEARLY_FULL;
  if (largest === undefined || (!isFull && total / heapLimitBytes < HEAP_SHARE_OF_CACHE)) return [];
  const evidence = `the heap holds ${bytesText(heapUsedBytes)} of at most ${bytesText(heapLimitBytes)} (${bytesText(rssBytes)} in all), the lanes' memory ${bytesText(total)}, most of it in ${many(largest.l1.entries, 'entry').replace('entrys', 'entries')} of lane '${largest.lane}'`;
  const advice = `Lower 'l1.maxBytes' (${bytesText(largest.policy.l1.maxBytes)}) or 'l1.maxEntries' (${largest.policy.l1.maxEntries}) of lane '${largest.lane}', or its ttl, or use a lighter lane; or give the process more with --max-old-space-size.`;
  return [{ lane: largest.lane, code: 'HIGH_MEMORY', severity: isFull ? 'error' : 'warning', evidence, advice }];
}

/** What the app handed in and failed: a fault of the app, which the cache survives and counts. */
export function faultFindings({ faults }: MetricsReport): readonly Finding[] {
  const failed = Object.entries(faults).filter(([, count]) => count > 0);
  if (failed.length === 0) return [];
  const evidence = `failed so far: ${failed.map(([collaborator, count]) => `${collaborator} ${count}`).join(', ')}`;
  const advice =
    "The log has the first error of each, and the event 'fault' has all. Mend what the app handed in: values are computed or stored without it.";
  return [{ code: 'COLLABORATOR_FAILS', severity: 'warning', evidence, advice }];
}

/** The log that the processes of the directory share was removed or damaged. */
export function hostFindings({ host }: MetricsReport): readonly Finding[] {
  if (host === undefined || host.log.losses === 0) return [];
  const times = host.log.losses === 1 ? 'once' : `${host.log.losses} times`;
  const evidence = `the log of '${host.directory}' was lost ${times}, and everything that was cached before was dropped`;
  const advice =
    'It was removed, damaged, or given up on a full disk. Check the volume and its space, and that nothing deletes files in the directory while an app uses it.';
  return [{ code: 'HOST_LOG_LOST', severity: 'warning', evidence, advice }];
}

/** A wall clock that stepped back, so that the time by which entries expire is ahead of it. */
export function clockFindings({ time }: AppDescription, savedAt: string | undefined): readonly Finding[] {
  const saved = savedAt === undefined ? 0 : Date.parse(savedAt);
  const aheadMs = Math.max(time.life, saved) - time.wall;
  if (aheadMs < CLOCK_STEP_MS) return [];
  const evidence = `the clock shows ${new Date(time.wall).toISOString()}, ${spanText(aheadMs)} less than before`;
  const advice =
    'It was set back, or forward and back: entries end early until it has caught up. Check the time service.';
  return [{ code: 'CLOCK', severity: 'warning', evidence, advice }];
}

/** `due` is what a cleanup would remove under the retention of the app. */
export function checkpointFindings(status: CheckpointStatus, due: CleanupReport | undefined): readonly Finding[] {
  const { state, reason = 'unknown' } = status;
  const found: Finding[] = [];
  if (state === 'off' && !['policy', 'no-directory', 'closed'].includes(reason)) {
    const place =
      reason === 'disconnected' ? 'the server and its address' : 'the volume, its space and its permissions';
    const advice = `Nothing can be saved until this is repaired, and restoring may fail: check ${place}.`;
    found.push({ code: 'CHECKPOINTS_OFF', severity: 'error', evidence: `checkpoints are off (${reason})`, advice });
  }
  if (due === undefined || due.removed === 0) return found;
  const evidence = `${many(due.removed, 'version')}, ${bytesText(due.bytes)}, should have been removed by now`;
  const advice = "Run 'cleanup'. Check that 'checkpoints.cleanup' is on, and that the app runs when it is due.";
  return [...found, { code: 'CHECKPOINTS_PILED_UP', severity: 'warning', evidence, advice }];
}
