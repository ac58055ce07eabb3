// `bundle.js <entry> <folder>`: writes what the entry takes of the library into few files.
import { rolldown } from 'rolldown';

const [input, dir] = process.argv.slice(2);
const bundle = await rolldown({ input, external: /^[^./]/, platform: 'node', treeshake: false });
await bundle.write({ dir, format: 'esm', minifyInternalExports: false });
await bundle.close();
