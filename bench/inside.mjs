// One module of the library by itself, for what the entry points do not export.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

/** What `lib/<path>.ts` exports. It must need no package. */
export async function inside(path) {
  const bundle = await rolldown({
    input: fileURLToPath(new URL(`../lib/${path}.ts`, import.meta.url)),
    platform: 'node',
  });
  const directory = mkdtempSync(join(tmpdir(), 'lane-cache-bench-'));
  try {
    await bundle.write({ dir: directory, entryFileNames: 'module.mjs' });
    return await import(join(directory, 'module.mjs'));
  } finally {
    await bundle.close();
    rmSync(directory, { recursive: true });
  }
}
