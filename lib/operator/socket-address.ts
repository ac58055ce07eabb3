import { createHash } from 'node:crypto';

/** Windows has named pipes instead, in a space of their own, which end with their process as well. */
export const socketAddress = (path: string): string =>
  process.platform === 'win32' ? `\\\\.\\pipe\\lane-cache-${createHash('sha256').update(path).digest('hex')}` : path;
