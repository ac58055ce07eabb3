import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Folders and closers of one row; `end` undoes all, last first. */
export class Scratch {
  #undo = [];

  directory() {
    const path = mkdtempSync(join(tmpdir(), 'lane-cache-bench-'));
    this.#undo.push(() => rmSync(path, { recursive: true, force: true }));
    return path;
  }

  onEnd(undo) {
    this.#undo.push(undo);
  }

  async end() {
    for (const undo of this.#undo.toReversed()) await undo();
    this.#undo = [];
  }
}
