import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const NAME = 'closed';

/** What a data file looks like from outside; `undefined` when it is not there. */
const looksOf = async (directory: string): Promise<string | undefined> => {
  const status = await stat(join(directory, 'data.mdb'), { bigint: true }).catch(() => undefined);
  return status === undefined ? undefined : `${status.size} ${status.mtimeNs}`;
};

/**
 * Notes how the data file of `directory` looked when it was closed in good order. Whoever finds it looking otherwise
 * knows that somebody wrote to it since, or that its last user did not come to its end.
 */
export const stampClosed = async (directory: string): Promise<void> => {
  const looks = await looksOf(directory);
  if (looks !== undefined) await writeFile(join(directory, NAME), looks, { mode: 0o600 }).catch(() => undefined);
};

/** Whether the data file is as it was left. */
export const isAsClosed = async (directory: string): Promise<boolean> => {
  const stamped = await readFile(join(directory, NAME), 'utf8').catch(() => undefined);
  return stamped !== undefined && stamped === (await looksOf(directory));
};

/** To be called before the data file is written to. */
export const forgetStamp = (directory: string): Promise<void> => rm(join(directory, NAME), { force: true });
