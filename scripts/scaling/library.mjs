// The library's own publisher and subscriber. They are no entry points of the package, so they are bundled here.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('../..', import.meta.url));
const place = await mkdtemp(join(tmpdir(), 'lane-cache-scaling-'));
const bundle = await rolldown({
  cwd: root,
  input: { backend: 'lib/redis/redis-backend.ts', scripts: 'lib/redis/shared-log/scripts.ts' },
  platform: 'node',
  external: /^[^./]/,
  tsconfig: join(root, 'tsconfig.json'),
});
await bundle.write({ dir: place, format: 'esm', entryFileNames: '[name].mjs', chunkFileNames: '[name].mjs' });
await bundle.close();
const load = (name) => import(pathToFileURL(join(place, `${name}.mjs`)));
export const { RedisBackend } = await load('backend');
export const { APPEND, HANDSHAKE } = await load('scripts');
await rm(place, { recursive: true, force: true });
