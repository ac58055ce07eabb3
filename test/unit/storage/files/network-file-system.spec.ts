import { expect, it, jest } from '@jest/globals';
import * as files from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NFS = 0x6969;

it('refuses a directory on a network file system, and names the reason', async () => {
  if (process.platform !== 'linux') return console.warn('Only Linux tells what a file system is.');
  jest.unstable_mockModule('node:fs/promises', () => ({ ...files, statfs: () => Promise.resolve({ type: NFS }) }));
  const { ensurePrivateDirectory } = await import('../../../../lib/storage/files/private-directory.js');
  const directory = await files.mkdtemp(join(tmpdir(), 'lane-cache-'));
  await expect(ensurePrivateDirectory(directory)).rejects.toMatchObject({
    code: 'DIRECTORY_UNSUITABLE',
    message: expect.stringContaining('NFS, where a memory-mapped file does not keep its promises'),
  });
  await files.rm(directory, { recursive: true, maxRetries: 5 });
});
