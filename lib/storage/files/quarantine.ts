import { lstat, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '../../clock/clock.js';
import { isErrno, orFault } from '../environment.js';
import { syncDirectory } from './private-directory.js';

/** A directory that was renamed away because it could not be trusted. */
export interface Quarantine {
  readonly path: string;
  /** Epoch ms. */
  readonly since: number;
}

const MARK = '.bad-';
const VOID_MARK = '.void-';
const DAY_MS = 86_400_000;
/** How long a quarantined cache is kept for inspection. */
export const QUARANTINE_KEPT_MS = 7 * DAY_MS;

/** `2026-01-31T12-00-00-000Z`: an ISO time without the characters that some file systems refuse. */
const stamp = (at: number): string => new Date(at).toISOString().replaceAll(/[:.]/g, '-');
const STAMP = /^(\d{4}-\d\d-\d\dT\d\d)-(\d\d)-(\d\d)-(\d{3}Z)(?:-\d+)?$/;

const timeOf = (text: string): number | undefined => {
  const parts = STAMP.exec(text);
  if (parts === null) return undefined;
  const time = Date.parse(`${parts[1]}:${parts[2]}:${parts[3]}.${parts[4]}`);
  return Number.isNaN(time) ? undefined : time;
};

const exists = async (path: string): Promise<boolean> => {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
};

/**
 * Renames `directory` to `<directory>.bad-<time>` and returns the new path. Needs no free space. Throws `StorageFault`.
 * An environment that is open in it must be closed first, or never written to again.
 */
export const quarantine = (directory: string, clock: Clock): Promise<string> => setAside(directory, MARK, clock);

/**
 * Makes sure that nothing in `directory` is ever read again: renames it, durably, which needs no free space, then deletes
 * it without being waited for. Throws `StorageFault` if it cannot be renamed.
 */
export const discard = async (directory: string, clock: Clock): Promise<void> => {
  const path = await setAside(directory, VOID_MARK, clock);
  rm(path, { recursive: true, force: true }).catch(() => undefined);
};

/** Renames `directory` to `place`, which must be free, durably. */
export const putInPlace = async (directory: string, place: string): Promise<void> => {
  await rename(directory, place);
  await syncDirectory(dirname(place));
};

/** Deletes what `discard` could not delete. */
export const removeDiscarded = async (directory: string): Promise<void> => {
  const prefix = `${basename(directory)}${VOID_MARK}`;
  const parent = dirname(directory);
  for (const name of await readdir(parent).catch(() => [])) {
    if (name.startsWith(prefix)) await rm(join(parent, name), { recursive: true, force: true }).catch(() => undefined);
  }
};

const setAside = (directory: string, mark: string, clock: Clock): Promise<string> =>
  orFault(`setting ${directory} aside`, async () => {
    const base = `${directory}${mark}${stamp(clock.now())}`;
    let target = base;
    for (let n = 2; await exists(target); n++) target = `${base}-${n}`;
    await rename(directory, target);
    await syncDirectory(dirname(directory));
    return target;
  });

/** The quarantines of `directory`, oldest first. */
export const quarantinesOf = async (directory: string): Promise<readonly Quarantine[]> => {
  const prefix = `${basename(directory)}${MARK}`;
  const parent = dirname(directory);
  const names = await readdir(parent).catch(() => []);
  return names
    .flatMap((name) => {
      const since = name.startsWith(prefix) ? timeOf(name.slice(prefix.length)) : undefined;
      return since === undefined ? [] : [{ path: join(parent, name), since }];
    })
    .toSorted((a, b) => a.since - b.since);
};

/** Deletes the quarantines of a cache's `directory` that are older than seven days; never call it for checkpoints. Returns how many went. */
export const removeOldQuarantines = async (directory: string, clock: Clock): Promise<number> => {
  const old = (await quarantinesOf(directory)).filter(({ since }) => clock.now() - since > QUARANTINE_KEPT_MS);
  for (const { path } of old) await rm(path, { recursive: true, force: true });
  return old.length;
};
