import { jest } from '@jest/globals';
import fs from 'node:fs';
import { stat } from 'node:fs/promises';

/** Hears of every file and folder that is made to outlive a power failure. */
export class Synced {
  private constructor(
    private readonly heard: string[],
    readonly stop: () => void,
  ) {}

  static listen(): Synced {
    const heard: string[] = [];
    const { fsync, fsyncSync } = fs;
    const spies = [
      jest.spyOn(fs, 'fsync').mockImplementation((fd, done) => {
        fsync(fd, (error) => {
          heard.push(idOf(fs.fstatSync(fd)));
          done(error);
        });
      }),
      jest.spyOn(fs, 'fsyncSync').mockImplementation((fd) => {
        fsyncSync(fd);
        heard.push(idOf(fs.fstatSync(fd)));
      }),
    ];
    return new Synced(heard, () => spies.forEach((spy) => spy.mockRestore()));
  }

  /** Which of `paths` were synced since the last call, in the order in which they were last. */
  async among(...paths: readonly string[]): Promise<readonly string[]> {
    const named = await Promise.all(paths.map(async (path) => [idOf(await stat(path)), path] as const));
    const heard = this.heard.splice(0);
    return named
      .filter(([id]) => heard.includes(id))
      .toSorted(([a], [b]) => heard.lastIndexOf(a) - heard.lastIndexOf(b))
      .map(([, path]) => path);
  }
}

const idOf = ({ dev, ino }: { readonly dev: number; readonly ino: number }): string => `${dev} ${ino}`;
