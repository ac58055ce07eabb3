import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, nextTurn, systemClock } from '../../lib/clock/clock.js';

const LIBUV_THREADS = 4;

/**
 * Occupies the threads on which LMDB commits, each with a pipe that nobody writes to, until `work` has ended. A test
 * that left them occupied would stop all file operations of the tests after it.
 */
export async function holdingThreads(directory: string, work: () => Promise<void>): Promise<void> {
  await mkdir(directory, { recursive: true });
  const pipes = Array.from({ length: LIBUV_THREADS }, (_, n) => join(directory, String(n)));
  execFileSync('mkfifo', pipes);
  const reading = pipes.map((pipe) => open(pipe, 'r'));
  try {
    await work();
  } finally {
    // To read as well: that does not wait for a thread that is still busy with something else, and comes to its pipe later.
    const writers = pipes.map((pipe) => openSync(pipe, 'r+'));
    for (const handle of await Promise.all(reading)) await handle.close();
    for (const writer of writers) closeSync(writer);
  }
}

/** Deadlines that pass as soon as somebody waits for that. */
export class Deadlines {
  private timers: (() => void)[] = [];

  readonly clock: Clock = {
    ...systemClock,
    schedule: (_ms, run) => {
      this.timers.push(run);
      return () => undefined;
    },
  };

  /** Resolves when the write has been given up at its deadline. Rejects if it ends in time. */
  async untilLate(write: Promise<unknown>): Promise<void> {
    const ended = write.then(
      () => 'in time',
      () => 'late',
    );
    for (;;) {
      const now = await Promise.race([ended, nextTurn()]);
      if (now === 'late') return;
      if (now === 'in time') throw new Error('The write was not late.');
      for (const run of this.timers.splice(0)) run();
    }
  }
}
