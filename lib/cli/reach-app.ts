import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Clock, withDeadline } from '../clock/clock.js';
import { parseAppRecord } from '../ipc/app-record.js';
import { ConnectionLost, IpcConnection, OwnerSilent } from '../ipc/client.js';
import { OPERATION_NAMES, OPERATIONS, type Operations } from '../operations/operations.js';
import { readStoredRecord } from '../storage/directory/cache-directory.js';
import { OwnerSocket } from '../storage/directory/owner-lock.js';
import type { AppAccess } from './app-access.js';
import { CommandFailed, EXIT } from './exit.js';

export interface AccessOptions {
  readonly directory: string | undefined;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

const DEFAULT_DIRECTORY = '.lane-cache';
const RETRY_MS = 50;

/** The directory of an app: `named`, or the default. Rejects with CommandFailed unless an app has created it. */
export async function findDirectory(named: string | undefined): Promise<string> {
  const directory = resolve(named ?? process.env['LANE_CACHE_DIR'] ?? DEFAULT_DIRECTORY);
  if (!(await isDirectory(directory))) {
    throw new CommandFailed(
      EXIT.noDirectory,
      `There is no directory '${directory}'. Name the app's directory with --directory.`,
    );
  }
  if (await isDirectory(join(directory, 'claims'))) return directory;
  throw new CommandFailed(
    EXIT.noDirectory,
    `'${directory}' is not the directory of a lane cache. Name the app's directory with --directory.`,
  );
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (status) => status.isDirectory(),
    () => false,
  );
}

/**
 * Reaches the app that owns the directory, or opens a directory without an owner. Rejects with OwnerSilent when neither
 * succeeds in time.
 */
export async function reachApp(options: AccessOptions): Promise<AppAccess> {
  const directory = await findDirectory(options.directory);
  const { clock, timeoutMs } = options;
  const until = clock.monotonic() + timeoutMs;
  const socket = await OwnerSocket.at(join(directory, 'claims'));
  try {
    for (;;) {
      const live = await reachLive(directory, socket, clock, Math.max(1, until - clock.monotonic()), timeoutMs);
      const access = live ?? (await reachStored(directory));
      if (access !== undefined) return access;
      if (clock.monotonic() >= until) throw silent(directory, timeoutMs);
      await new Promise<void>((again) => clock.schedule(RETRY_MS, again, 'awaited'));
    }
  } finally {
    await socket.leave();
  }
}

async function reachLive(
  directory: string,
  socket: OwnerSocket,
  clock: Clock,
  withinMs: number,
  timeoutMs: number,
): Promise<AppAccess | undefined> {
  try {
    const connection = await IpcConnection.open(socket.path, clock, withinMs);
    return {
      directory,
      kind: 'live',
      operations: remoteOperations(connection, clock, timeoutMs),
      record: parseAppRecord(await readStoredRecord(directory).catch(() => undefined)),
      close: async () => connection.close(),
    };
  } catch (error) {
    if (error instanceof ConnectionLost) return undefined;
    throw error;
  }
}

/** The operations of the app that owns the directory. One that answers soon is given up after `deadlineMs`. */
function remoteOperations(connection: IpcConnection, clock: Clock, deadlineMs: number): Operations {
  const owner = `process ${connection.ownerPid}, which owns the directory,`;
  const ask = (name: keyof Operations, args: readonly unknown[]): unknown => {
    if (OPERATIONS[name] === 'in-parts') return connection.parts(name, ...args);
    const answer = connection.call(name, ...args);
    return OPERATIONS[name] === 'soon' ? withDeadline(clock, answer, deadlineMs, owner) : answer;
  };
  const asked = OPERATION_NAMES.map((name) => [name, (...args: readonly unknown[]) => ask(name, args)] as const);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the handshake has shown that both speak the same protocol
  return Object.fromEntries(asked) as unknown as Operations;
}

/** Loads storage only here, because an app that answers needs none of it. */
async function reachStored(directory: string): Promise<AppAccess | undefined> {
  const { openStored } = await import('./stored-app.js');
  return openStored(directory);
}

function silent(directory: string, timeoutMs: number): OwnerSilent {
  return new OwnerSilent(
    `Another process owns '${directory}' and did not answer within ${timeoutMs} ms. Check that process, or allow more time with --timeout.`,
  );
}
