import { readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, toFault } from './environment.js';

const ignore = (): undefined => undefined;

const OPENING = 'opening.';
const RUNNING = 'running.';

/**
 * A file that says how far opening a directory has come. Whoever finds `opening` left behind knows that the last
 * attempt died on it, and does not walk into the same crash.
 */
export class OpeningMarker {
  private constructor(
    private readonly directory: string,
    private path: string,
  ) {}

  /** Whether an earlier holder of the directory died between opening and having read from it. */
  static async wasLeft(directory: string): Promise<boolean> {
    return (await markers(directory)).some((name) => name.startsWith(OPENING));
  }

  /** When the last holder, who did not come to its end, opened the directory, in epoch ms; undefined if there was none. */
  static async heldSince(directory: string): Promise<number | undefined> {
    const name = (await markers(directory)).find((each) => each.startsWith(RUNNING));
    return name === undefined ? undefined : stat(join(directory, name)).then(({ mtimeMs }) => mtimeMs, ignore);
  }

  /** Replaces whatever markers are there; the directory must be the caller's alone. */
  static async leave(directory: string): Promise<OpeningMarker> {
    try {
      for (const name of await markers(directory)) await rm(join(directory, name), { force: true });
      const path = join(directory, `${OPENING}${process.pid}`);
      await writeFile(path, '', { mode: 0o600 });
      return new OpeningMarker(directory, path);
    } catch (error) {
      throw toFault(error, `marking ${directory} as being opened`);
    }
  }

  /** The directory was opened and read from. */
  async running(): Promise<void> {
    const path = join(this.directory, `${RUNNING}${process.pid}`);
    await rename(this.path, path);
    this.path = path;
  }

  async remove(): Promise<void> {
    await rm(this.path, { force: true });
  }
}

const markers = async (directory: string): Promise<readonly string[]> => {
  try {
    return (await readdir(directory)).filter((name) => name.startsWith(OPENING) || name.startsWith(RUNNING));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
};
