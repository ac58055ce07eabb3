import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const NAME = 'closed';

/** What a data file looks like from outside. */
interface Looks {
  readonly size: number;
  readonly mtimeMs: number;
}

const looksOf = (directory: string): Promise<Looks | undefined> =>
  stat(join(directory, 'data.mdb')).then(
    ({ size, mtimeMs }) => ({ size, mtimeMs }),
    () => undefined,
  );

const parse = (stamp: string): Looks => {
  const [size = NaN, mtimeMs = NaN] = stamp.split(' ').map(Number);
  return { size, mtimeMs };
};

/** A copy is the same file: tar keeps whole seconds, and Node's `cp` is a millisecond off in either direction. */
const isSameTime = (stamped: number, found: number): boolean =>
  Math.abs(found - stamped) <= 1 || found === Math.floor(stamped / 1_000) * 1_000;

/**
 * Notes how the data file of `directory` looked when it was closed in good order. Whoever finds it looking otherwise
 * knows that somebody wrote to it since, or that its last user did not come to its end.
 */
export const stampClosed = async (directory: string): Promise<void> => {
  const looks = await looksOf(directory);
  if (looks === undefined) return;
  await writeFile(join(directory, NAME), `${looks.size} ${looks.mtimeMs}`, { mode: 0o600 }).catch(() => undefined);
};

/** How the data file looks now: as it was left, changed since, or left in no good order at all. */
export const sinceClosed = async (directory: string): Promise<'same' | 'changed' | 'unknown'> => {
  const stamped = await readFile(join(directory, NAME), 'utf8').catch(() => undefined);
  if (stamped === undefined) return 'unknown';
  const [then, now] = [parse(stamped), await looksOf(directory)];
  return now?.size === then.size && isSameTime(then.mtimeMs, now.mtimeMs) ? 'same' : 'changed';
};

/** To be called before the data file is written to. */
export const forgetStamp = (directory: string): Promise<void> => rm(join(directory, NAME), { force: true });
