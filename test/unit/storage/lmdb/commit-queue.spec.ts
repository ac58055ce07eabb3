import { describe, expect, it } from '@jest/globals';
import type { NativeRoot } from '../../../../lib/storage/lmdb/lmdb-table.js';
import { CommitQueue, type Room } from '../../../../lib/storage/lmdb/lmdb-environment.js';

/** A volume on which so many bytes can still be taken. */
class SmallRoom implements Room {
  private made = 0;

  constructor(private readonly most: number) {}

  has(bytes: number): boolean {
    return this.made >= bytes;
  }

  make(bytes: number): Promise<void> {
    this.made = Math.min(bytes, this.most);
    return bytes <= this.most ? Promise.resolve() : Promise.reject(new Error('no room'));
  }

  spend(bytes: number): void {
    this.made -= bytes;
  }
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- all that it is asked for
const root = { on: () => undefined, committed: Promise.resolve() } as unknown as NativeRoot;

describe('writes for which there is no room together', () => {
  it('are refused where they do not fit, and made where they do', async () => {
    const batches = new CommitQueue(root, new SmallRoom(100));
    const written: string[] = [];
    const submit = (name: string, bytes: number): Promise<string> => {
      const write = (): Promise<unknown> => Promise.resolve(written.push(name));
      return batches.submit(write, bytes).outcome.then(
        () => 'written',
        (error: unknown) => String(error),
      );
    };
    const first = submit('large', 500);
    const others = [submit('small', 60), submit('another', 60), submit('tiny', 40)];
    expect([await first, ...(await Promise.all(others))]).toEqual([
      'Error: no room',
      'written',
      'Error: no room',
      'written',
    ]);
    expect(written).toEqual(['small', 'tiny']);
  });
});
