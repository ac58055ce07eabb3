import { connect, createServer, type Socket } from 'node:net';
import type { Liveness } from '../storage/directory/owner-lock.js';
import { createHash } from 'node:crypto';

/** The error codes of connecting where no process listens. Any other error leaves it open. */
const NOBODY = new Set(['ECONNREFUSED', 'ENOENT']);

/** A holder keeps so many connections open. The processes beyond try again from time to time. */
const MAX_OBSERVERS = 256;

const nothing = (): void => undefined;

/**
 * Liveness by a Unix socket that only listens: the system stops listening when the process or thread ends, accepts on
 * its behalf while it is frozen, and finds the socket by its file, so other containers on the same volume feel it too.
 * A connection to it ends with the holder. No data is ever exchanged. `path` must fit a socket address: 100 bytes.
 */
export const socketLiveness: Liveness = Object.freeze({
  hold: (path: string) =>
    new Promise<() => Promise<void>>((resolve, reject) => {
      const observers = new Set<Socket>();
      const server = createServer((socket) => {
        socket.on('error', nothing);
        socket.unref();
        if (observers.size >= MAX_OBSERVERS) return socket.destroy();
        observers.add(socket);
        socket.once('close', () => observers.delete(socket));
        // Reads, so that the end of the connection is noticed.
        return socket.resume();
      });
      server.once('error', reject);
      // exclusive: in a worker of a cluster the primary would listen instead, and go on when the worker is dead
      server.listen({ path: socketAddress(path), exclusive: true }, () => {
        server.unref();
        const release = (closed: () => void): void => {
          server.close(() => closed());
          for (const socket of observers) socket.destroy();
        };
        resolve(() => new Promise(release));
      });
    }),

  whenEnded: (path: string, ended: () => void) => {
    const socket = connect(socketAddress(path));
    socket.unref();
    socket.on('error', nothing);
    socket.once('close', ended);
    socket.resume();
    return () => {
      socket.removeListener('close', ended);
      socket.destroy();
    };
  },

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
