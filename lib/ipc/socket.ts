import { connect, createServer } from 'node:net';
import type { Liveness } from '../storage/directory/owner-lock.js';
import { createHash } from 'node:crypto';

/** The error codes of connecting where no process listens. Any other error leaves it open. */
const NOBODY = new Set(['ECONNREFUSED', 'ENOENT']);

/**
 * Liveness by a Unix socket that only listens: the system stops listening when the process or thread ends, accepts on
 * its behalf while it is frozen, and finds the socket by its file, so other containers on the same volume feel it too.
 * No data is ever exchanged. `path` must fit a socket address: 100 bytes.
 */
export const socketLiveness: Liveness = Object.freeze({
  hold: (path: string) =>
    new Promise<() => Promise<void>>((resolve, reject) => {
      const server = createServer((socket) => socket.destroy());
      server.once('error', reject);
      // exclusive: in a worker of a cluster the primary would listen instead, and go on when the worker is dead
      server.listen({ path: socketAddress(path), exclusive: true }, () => {
        server.unref();
        resolve(() => new Promise((closed) => server.close(() => closed())));
      });
    }),

  isHeld: (path: string) =>
    new Promise<boolean>((resolve) => {
      const socket = connect(socketAddress(path));
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', (error: NodeJS.ErrnoException) => {
        socket.destroy();
        resolve(!NOBODY.has(error.code ?? ''));
      });
    }),
});

/** Windows has named pipes instead, in a space of their own, which end with their process as well. */
export const socketAddress = (path: string): string =>
  process.platform === 'win32' ? `\\\\.\\pipe\\lane-cache-${createHash('sha256').update(path).digest('hex')}` : path;
