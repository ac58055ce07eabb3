// Tells Node that the files below dist/cjs are CommonJS, since the package itself is ESM.
import { writeFileSync } from 'node:fs';

writeFileSync(new URL('../dist/cjs/package.json', import.meta.url), '{"type":"commonjs"}\n');
