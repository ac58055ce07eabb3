import { readFile } from 'node:fs/promises';

/** Linux's name for this boot of this kernel; undefined elsewhere. */
export const bootId = async (): Promise<string | undefined> => {
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  } catch {
    return undefined;
  }
};
