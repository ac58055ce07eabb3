import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** `1: POSIX  ADVISORY  READ 4711 fd:01:123456 0 0`: a process and the file of which it holds a lock. */
const LOCK = /^\d+: (?:-> )?POSIX\s+\S+\s+\S+ (-?\d+) ([0-9a-f]+:[0-9a-f]+:\d+) /gm;

const hex = (number: bigint): string => number.toString(16).padStart(2, '0');

/** A file as `/proc/locks` names it. */
const nameOf = ({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): string => {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  return `${hex(major)}:${hex(minor)}:${ino}`;
};

/**
 * The process that has LMDB open in `directory`; undefined if there is none that this one can see. LMDB holds locks on
 * its lock file for as long as it is open, which nobody can remove, unlike claims. Linux only, and not from one
 * container into another.
 */
export const lockHolder = async (directory: string): Promise<number | undefined> => {
  if (process.platform !== 'linux') return undefined;
  const file = await stat(join(directory, 'lock.mdb'), { bigint: true }).catch(() => undefined);
  if (file === undefined) return undefined;
  const name = nameOf(file);
  const locks = await readFile('/proc/locks', 'utf8').catch(() => '');
  for (const [, pid, locked] of locks.matchAll(LOCK)) if (locked === name) return Number(pid);
  return undefined;
};
