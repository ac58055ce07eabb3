// Builds the page of the dashboard into one module that holds its files, compressed: `lib/dashboard/page.generated.cjs`.
import { rename, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const root = fileURLToPath(new URL('../dashboard', import.meta.url));
const target = fileURLToPath(new URL('../lib/dashboard/page.generated.cjs', import.meta.url));

const TYPES = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};
/** All files together, compressed. */
const MOST_BYTES = 200 * 1024;

const { output } = await build({
  root,
  configFile: false,
  logLevel: 'warn',
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    write: false,
    assetsInlineLimit: 0,
    modulePreload: false,
    target: 'es2022',
    rolldownOptions: {
      output: {
        entryFileNames: '[name]-[hash].js',
        chunkFileNames: '[name]-[hash].js',
        assetFileNames: '[name]-[hash][extname]',
      },
    },
  },
});

const files = {};
let total = 0;
for (const { fileName, type, code, source } of output) {
  const ending = fileName.split('.').at(-1);
  if (!Object.hasOwn(TYPES, ending)) throw new Error(`The page has a file of an unknown kind: ${fileName}`);
  const gzip = gzipSync(type === 'chunk' ? code : source, { level: 9 });
  total += gzip.length;
  files[fileName] = { type: TYPES[ending], gzip: gzip.toString('base64') };
}
if (total > MOST_BYTES) throw new Error(`The page takes ${total} bytes compressed, more than ${MOST_BYTES}.`);
// Renamed, because tests may build and read it at the same time.
const written = `${target}.${process.pid}`;
await writeFile(written, `'use strict';\nexports.files = ${JSON.stringify(files, undefined, 1)};\n`);
await rename(written, target);
process.stdout.write(`page: ${Object.keys(files).length} files, ${(total / 1024).toFixed(1)} KB compressed\n`);
