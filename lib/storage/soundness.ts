import { isSoonRead, looksOf, sinceClosed } from './closing-stamp.js';
import { type Durability, StorageFault } from './environment.js';
import { OpeningMarker } from './opening-marker.js';
import { preflight } from './preflight.js';
import { probe, probeCopy, type ProbeOutcome } from './probe.js';
import { Watermark } from './watermark.js';

/** Why a directory is set aside. */
export class Unsound extends Error {}

/** What a directory may be opened for; `cause` is why not for more. */
export type Trust = { readonly may: 'write' } | { readonly may: 'read'; readonly cause: string };

export interface SoundnessOptions {
  readonly directory: string;
  readonly durability: Durability;
  readonly onMarkerLeft: 'quarantine' | 'probe';
  readonly minFreeBytes?: number | undefined;
}

const SOUND: Trust = { may: 'write' };
/** Whoever lived so long with a directory was not killed by what is in it. */
const LONG_LIFE_MS = 60_000;

/**
 * Whether the last holder, who was killed, wrote to the file for long. A kill does it no harm, and reading all of a large
 * file would keep its next holder from taking over at once; who died young may have died of it.
 */
const hasServedLong = async (directory: string): Promise<boolean> => {
  const [heldSince, looks] = [await OpeningMarker.heldSince(directory), await looksOf(directory)];
  if (heldSince === undefined || looks === undefined || isSoonRead(looks)) return false;
  return looks.mtimeMs - heldSince >= LONG_LIFE_MS;
};

/** Whether there once was a file: somebody has read from it, and closed it or not. */
const wasInUse = async (directory: string): Promise<boolean> =>
  (await OpeningMarker.heldSince(directory)) !== undefined || (await sinceClosed(directory)) !== 'unknown';

/**
 * Judges a directory from outside, before LMDB is let near it in this process: a data file that is damaged ends whoever
 * reads, or writes, the wrong page. Throws `Unsound`, or `StorageFault` if nothing can be said.
 */
export const soundness = async (options: SoundnessOptions): Promise<Trust> => {
  const { directory, onMarkerLeft } = options;
  const isCache = onMarkerLeft === 'quarantine';
  const found = await preflight(directory);
  if (found.state === 'unsound') throw new Unsound(found.cause);
  // an empty one in its place would pass for one in which nothing was ever saved
  if (found.state === 'absent' && (await wasInUse(directory))) throw new Unsound('its data file is gone, or empty');
  if (found.state === 'absent' || found.state === 'fresh') return SOUND;
  const markerLeft = found.state === 'sound' && (await OpeningMarker.wasLeft(directory));
  if (markerLeft && isCache) throw new Unsound('the last attempt to open it did not survive');
  const since = await sinceClosed(directory);
  if (found.state === 'sound' && !markerLeft && since === 'same') return SOUND;
  // not every harm shows by reading, and a cache can be had again
  if (isCache && since === 'changed') throw new Unsound('somebody wrote to it since it was closed');
  if (found.state === 'sound' && !markerLeft && since === 'unknown' && (await hasServedLong(directory))) return SOUND;
  const doubt = found.state === 'suspect' ? found.cause : undefined;
  return isCache ? trustInCache(options, doubt) : trustInCheckpoints(options, doubt);
};

/** `doubt`: what the meta pages leave open. */
const trustInCache = async ({ directory, durability }: SoundnessOptions, doubt?: string): Promise<Trust> => {
  const outcome = await probe(directory, durability, 'write');
  if (outcome.state === 'survived') return SOUND;
  if (outcome.state === 'unknown' && doubt === undefined) return SOUND;
  throw new Unsound(outcome.state === 'unknown' ? (doubt ?? outcome.why) : textOf(outcome));
};

/** Checkpoints of which some can be read are worth more than none, and what nobody else has is tried out on a copy. */
const trustInCheckpoints = async (options: SoundnessOptions, doubt?: string): Promise<Trust> => {
  const { directory, durability, minFreeBytes } = options;
  const onCopy = await probeCopy(directory, durability, new Watermark(directory, minFreeBytes));
  if (onCopy.state === 'survived') return SOUND;
  const outcome = await probe(directory, durability, 'read');
  // one without tables would be taken for new, and what it holds for free
  if (outcome.state === 'died' || outcome.state === 'empty') throw new Unsound(textOf(outcome));
  if (outcome.state === 'survived' || doubt === undefined)
    return onCopy.state === 'died'
      ? { may: 'read', cause: `a child process that wrote to a copy ${onCopy.how}` }
      : SOUND;
  const why = outcome.state === 'unknown' ? `could not be probed: ${outcome.why}` : `was probed, which ${outcome.how}`;
  throw new StorageFault('io', `${directory} ${why}. ${doubt}`);
};

const textOf = (outcome: ProbeOutcome): string =>
  'how' in outcome ? `a child process that read it ${outcome.how}` : 'none of its tables can be found';
