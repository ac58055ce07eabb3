import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';

const LIBUV_THREADS = 4;

/** Occupies the threads on which LMDB commits, each with a pipe that nobody writes to, until the returned function is called. */
export async function holdThreads(directory: string): Promise<() => Promise<void>> {
  await mkdir(directory, { recursive: true });
  const pipes = Array.from({ length: LIBUV_THREADS }, (_, n) => join(directory, String(n)));
  execFileSync('mkfifo', pipes);
  const reading = pipes.map((pipe) => open(pipe, 'r'));
  return async () => {
    for (const pipe of pipes) closeSync(openSync(pipe, 'w'));
    for (const handle of await Promise.all(reading)) await handle.close();
  };
}
