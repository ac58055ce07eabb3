import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const NAME = 'closed';

/** What a data file looks like from outside; `undefined` when it is not there. */
const looksOf = async (directory: string): Promise<string | undefined> => {
  const status = await stat(join(directory, 'data.mdb')).catch(() => undefined);
  // whole milliseconds: copying tools keep no more
  return status === undefined ? undefined : `${status.size} ${Math.floor(status.mtimeMs)}`;
};

/**
 * Notes how the data file of `directory` looked when it was closed in good order. Whoever finds it looking otherwise
 * knows that somebody wrote to it since, or that its last user did not come to its end.
 */
export const stampClosed = async (directory: string): Promise<void> => {
  const looks = await looksOf(directory);
  if (looks !== undefined) await writeFile(join(directory, NAME), looks, { mode: 0o600 }).catch(() => undefined);
};

/** How the data file looks now: as it was left, changed since, or left in no good order at all. */
export const sinceClosed = async (directory: string): Promise<'same' | 'changed' | 'unknown'> => {
  const stamped = await readFile(join(directory, NAME), 'utf8').catch(() => undefined);
  if (stamped === undefined) return 'unknown';
  return stamped === (await looksOf(directory)) ? 'same' : 'changed';
};

/** To be called before the data file is written to. */
export const forgetStamp = (directory: string): Promise<void> => rm(join(directory, NAME), { force: true });
