import { jest } from '@jest/globals';
import { open, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

/** Hears of every file and folder that is made to outlive a power failure. */
export class Synced {
  private constructor(
    private readonly heard: string[],
    readonly stop: () => void,
  ) {}

  static async listen(): Promise<Synced> {
    const probe = await open('.', 'r');
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the prototype of every handle
    const handles = Object.getPrototypeOf(probe) as FileHandle;
    await probe.close();
    const heard: string[] = [];
    // oxlint-disable-next-line typescript/unbound-method -- called with its handle below
    const { sync } = handles;
    const spy = jest.spyOn(handles, 'sync').mockImplementation(async function (this: FileHandle) {
      await sync.call(this);
      heard.push(idOf(await this.stat()));
    });
    return new Synced(heard, () => spy.mockRestore());
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
