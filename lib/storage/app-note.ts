import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, toFault } from './environment.js';

const NAME = 'app.json';

/** Leaves word of the app in its directory, replacing what was left before: whole or not at all. Throws `StorageFault`. */
export const writeAppNote = async (root: string, note: unknown): Promise<void> => {
  const path = join(root, NAME);
  try {
    await writeFile(`${path}.new`, JSON.stringify(note), { mode: 0o600 });
    await rename(`${path}.new`, path);
  } catch (error) {
    throw toFault(error, `writing ${path}`);
  }
};

/** What the last app left; undefined if nothing, or nothing that can be read. Throws `StorageFault` if it may not be read. */
export const readAppNote = async (root: string): Promise<unknown> => {
  const path = join(root, NAME);
  try {
    const note: unknown = JSON.parse(await readFile(path, 'utf8'));
    return note;
  } catch (error) {
    if (error instanceof SyntaxError || isErrno(error, 'ENOENT')) return undefined;
    throw toFault(error, `reading ${path}`);
  }
};
