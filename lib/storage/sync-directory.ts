import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { isErrno } from './environment.js';

/** Makes what was created, renamed or removed in `directory` outlive a power failure. */
export const syncDirectory = async (directory: string): Promise<void> => {
  // Windows has no such thing as a directory's descriptor
  if (process.platform === 'win32') return;
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};

const syncIfPermitted = async (directory: string): Promise<void> => {
  try {
    await syncDirectory(directory);
  } catch (error) {
    // who may make a directory in a folder need not be allowed to read that folder
    if (!isErrno(error, 'EACCES') && !isErrno(error, 'EPERM')) throw error;
  }
};

/** As `syncDirectory`, for a directory that was just made, and its parents from `first` on, which were made with it. */
export const syncMade = async (made: string, first: string): Promise<void> => {
  const end = dirname(resolve(first));
  for (let at = dirname(resolve(made)); ; at = dirname(at)) {
    await syncIfPermitted(at);
    if (at === end || at === dirname(at)) return;
  }
};
