import { readFileSync } from 'node:fs';

/** Linux's name for this boot of this kernel; undefined elsewhere. */
export const bootId = (): string | undefined => {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return undefined;
  }
};
