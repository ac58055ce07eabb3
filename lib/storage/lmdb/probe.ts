import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { copyFile, mkdir, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Durability } from '../environment.js';
import { nativeOptions } from './lmdb-table.js';
import type { FreeSpaceLimit } from './free-space.js';

/**
 * `empty`: there are no tables to be read. `failed`: an error that can be caught. `unknown`: no child process could be
 * started, or it was not done in time.
 */
export type ProbeOutcome =
  | { readonly state: 'survived' }
  | { readonly state: 'empty' }
  | { readonly state: 'died' | 'failed'; readonly how: string }
  | { readonly state: 'unknown'; readonly why: string };

/** Long enough to read a few gigabytes. */
const PROBE_DEADLINE_MS = 60_000;

/** The exit code of the child process when there are no tables. */
const EMPTY = 77;

/**
 * Reads every row of every table, so that a page that would crash a reader crashes this process. With `write` it also reads
 * the lists of free pages, which only writers read. Its own row comes and goes in one transaction: it may be killed at any time.
 */
const SOURCE = `
const [lmdb, options, reach] = JSON.parse(process.argv[1]);
const root = require(lmdb).open(options);
const names = [...root.getKeys()].map(String);
if (names.length === 0) process.exit(${EMPTY});
for (const name of names)
  for (const row of root.openDB({ name, encoding: 'binary' }).getRange({ snapshot: true })) void row.value;
if (reach === 'write') {
  for (let round = 0; round < 8; round++) {
    for (const name of names) {
      const table = root.openDB({ name, encoding: 'binary' });
      const rows = [...table.getRange({ limit: 1 }), ...table.getRange({ limit: 1, reverse: true })].map(({ key, value }) => [key, Buffer.from(value)]);
      for (const [key, value] of rows) table.putSync(key, value);
      root.transactionSync(() => {
        table.putSync('probe', Buffer.alloc(64 * 1024));
        table.removeSync('probe');
      });
    }
  }
}
root.close().then(() => process.exit(0));
`;

/** Whether the probe may write. It may not write into data that exists nowhere else. */
export type ProbeReach = 'read' | 'write';

/** Under Yarn's Plug'n'Play, packages are found by a hook that NODE_OPTIONS loads. */
const probeEnvironment = (): NodeJS.ProcessEnv => {
  const { PATH, NODE_OPTIONS } = process.env;
  return process.versions['pnp'] === undefined ? { PATH } : { PATH, NODE_OPTIONS };
};

/** The path or file URL of the running code. The same source is compiled to ESM and to CommonJS. */
const ownPath = (): string | undefined => {
  const before = Object.getOwnPropertyDescriptor(Error, 'prepareStackTrace');
  try {
    Error.prepareStackTrace = (_error, sites) => sites[0]?.getFileName();
    const { stack }: { stack?: unknown } = new Error();
    return typeof stack === 'string' ? stack : undefined;
  } finally {
    if (before === undefined) Reflect.deleteProperty(Error, 'prepareStackTrace');
    else Object.defineProperty(Error, 'prepareStackTrace', before);
  }
};

const lmdbPath = (): string | undefined => {
  try {
    return createRequire(ownPath() ?? process.cwd()).resolve('lmdb');
  } catch {
    return undefined;
  }
};

/** A folder as it is held while it is opened. By a descriptor, where there is one, so that no other can take its place. */
export interface HeldFolder {
  readonly path: string;
  readonly descriptor?: number | undefined;
}

/** Where the child process has the descriptor of the folder. */
const CHILD_DESCRIPTOR = 3;

/**
 * Opens and reads a folder in a child process, which may die of it. No other process may have it open. When this
 * resolves, the child has ended.
 */
export const probe = (
  { path, descriptor }: HeldFolder,
  durability: Durability,
  reach: ProbeReach,
): Promise<ProbeOutcome> => {
  const lmdb = lmdbPath();
  if (lmdb === undefined) return Promise.resolve({ state: 'unknown', why: 'lmdb was not found' });
  const childPath = descriptor === undefined ? path : `/proc/self/fd/${CHILD_DESCRIPTOR}`;
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      ['-e', SOURCE, '--', JSON.stringify([lmdb, nativeOptions(childPath, durability), reach])],
      {
        stdio: ['ignore', 'ignore', 'ignore', descriptor ?? 'ignore'],
        timeout: PROBE_DEADLINE_MS,
        killSignal: 'SIGKILL',
        env: probeEnvironment(),
      },
    );
    child.once('error', (error) => resolve({ state: 'unknown', why: error.message }));
    child.once('exit', (code, signal) => {
      if (code === 0) resolve({ state: 'survived' });
      else if (code === EMPTY) resolve({ state: 'empty' });
      else if (signal === 'SIGKILL') resolve({ state: 'unknown', why: 'the child process was killed' });
      else if (signal === null) resolve({ state: 'failed', how: `ended with ${code}` });
      else resolve({ state: 'died', how: `died of ${signal}` });
    });
  });
};

/**
 * Like `probe`, for writing, on a copy beside `directory` that is removed afterwards. `unknown` also where there is no room
 * for a copy.
 */
export const probeCopy = async (
  directory: string,
  held: HeldFolder,
  durability: Durability,
  freeSpaceLimit: FreeSpaceLimit,
): Promise<ProbeOutcome> => {
  const copy = `${directory}.probe`;
  const drop = (): Promise<void> => rm(copy, { recursive: true, force: true });
  try {
    await drop();
    const { size } = await stat(join(held.path, 'data.mdb'));
    if (!freeSpaceLimit.hasRoom(2 * size)) return { state: 'unknown', why: 'there is no room for a copy' };
    await mkdir(copy, { mode: 0o700 });
    await copyFile(join(held.path, 'data.mdb'), join(copy, 'data.mdb'), constants.COPYFILE_FICLONE);
    return await probe({ path: copy }, durability, 'write');
  } catch (error) {
    return { state: 'unknown', why: error instanceof Error ? error.message : String(error) };
  } finally {
    await drop().catch(() => undefined);
  }
};
