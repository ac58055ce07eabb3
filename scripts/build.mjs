// Builds `dist`: one bundle per entry point and format, and the types.
//
// The core, which is all that does not touch Nest, is built once, as CommonJS (`dist/cjs/core`). Both formats load it, so
// its classes exist once in a process. What imports Nest is built in both formats: under Jest, neither format can load the
// other's Nest. CONTRIBUTING, "The build", says how an entry point or static files get in.
import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { reachedDeclarations } from './declarations.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const LIB = join(ROOT, 'lib');
const DIST = join(ROOT, 'dist');
const CORE = join(DIST, 'cjs', 'core');

/** The entry points of the package: `lib/<name>.ts`, at the same place below `dist/esm` and `dist/cjs`. */
const ENTRIES = ['index', 'redis/index', 'health/index', 'testing/index', 'dashboard/index'];
/** Programs. They are built once, with the core. */
const PROGRAMS = ['cli/main'];
/** What `nest add` runs: `schematics/<name>.ts`, below `dist/cjs/schematics`, and the JSON files beside it. */
const SCHEMATICS = ['nest-add/index'];
/** Files and folders that are copied as they are: `from` in the repository, `to` below `dist`. */
const STATIC = [
  // beside the module that loads it
  { from: 'lib/dashboard/page.generated.cjs', to: 'cjs/core/dashboard/page.generated.cjs' },
];

const COMMON = {
  cwd: ROOT,
  platform: 'node',
  tsconfig: join(ROOT, 'tsconfig.json'),
  treeshake: { moduleSideEffects: false },
  onLog(level, log, report) {
    if (level === 'warn') throw new Error(log.message);
    report(level, log);
  },
};
/** Local variables get short names. Functions, classes and lines keep theirs: a stack trace can be read without source maps. */
const OUTPUT = {
  sourcemap: 'hidden',
  comments: false,
  minify: { compress: false, mangle: { keepNames: true }, codegen: { removeWhitespace: false } },
  keepNames: true,
  // one character beyond Latin-1 makes V8 read and scan the whole bundle as UTF-16
  charset: 'ascii',
  minifyInternalExports: false,
  dynamicImportInCjs: false,
  entryFileNames: '[name].js',
};
const IMPORT = /(\b(?:from|import\()\s*)(['"])([^'"]+)\2(\s*with \{[^}]*\})?/g;

const isPackage = (id) => !/^[./\0]|^(core|@oxc-project\/runtime)[:/]/.test(id);
const isNest = (id) => id.startsWith('@nestjs/');
const sourceOf = (name) => join(LIB, `${name}.ts`);
const nameOf = (id) => relative(LIB, id).replace(/\.ts$/, '');
const inputOf = (names) => Object.fromEntries(names.map((name) => [name, sourceOf(name)]));

await rm(DIST, { recursive: true, force: true });
await mkdir(DIST);
const declarations = await readDeclarations();
const modules = await readModules();
const outer = outerModules();
const core = coreEntries();
await buildCore();
for (const format of ['esm', 'cjs']) await buildFormat(format);
await writeDeclarations();
await buildSchematics();
await writeText(join(DIST, 'cjs', 'package.json'), '{"type":"commonjs"}\n');
for (const { from, to } of STATIC) await cp(join(ROOT, from), join(DIST, to), { recursive: true });

/** The declarations that the entry points reach, by module of `lib`: their text, and what they import. */
async function readDeclarations() {
  const place = await mkdtemp(join(DIST, 'types-'));
  const compiler = join(ROOT, 'node_modules', '@typescript', 'native', 'bin', 'tsc');
  const args = [compiler, '-p', 'tsconfig.build.json', '--emitDeclarationOnly', '--stripInternal', '--outDir', place];
  const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });
  if (status !== 0) process.exit(1);
  const names = (await readdir(place, { recursive: true })).filter((name) => name.endsWith('.d.ts'));
  const texts = new Map();
  for (const name of names)
    texts.set(join(LIB, name.replace(/\.d\.ts$/, '.ts')), await readFile(join(place, name), 'utf8'));
  await rm(place, { recursive: true });
  const reached = reachedDeclarations(texts, ENTRIES.map(sourceOf), targetOf);
  return new Map([...reached].map(([id, text]) => [id, { text, imported: importsOf(id, text) }]));
}

function importsOf(importer, text) {
  return [...text.matchAll(IMPORT)].map(([, , , path, mode]) => ({ id: targetOf(importer, path), mode }));
}

/** The module that `path` means in `importer`, or `path` itself for a package. */
function targetOf(importer, path) {
  return path.startsWith('.') ? resolve(dirname(importer), path).replace(/\.js$/, '.ts') : path;
}

/** What each module of `lib` imports and exports when it runs. */
async function readModules() {
  const found = new Map();
  const plugin = {
    name: 'read',
    moduleParsed({ id, importedIds, dynamicallyImportedIds, exports }) {
      if (id.startsWith(LIB)) found.set(id, { now: importedIds, later: dynamicallyImportedIds, exports });
    },
  };
  const input = inputOf([...ENTRIES, ...PROGRAMS]);
  const bundle = await rolldown({ ...COMMON, input, external: isPackage, plugins: [plugin] });
  await bundle.generate({ format: 'es', sourcemap: false });
  await bundle.close();
  return found;
}

/** The entry points, and what imports Nest, or such a module, as code or in its declarations. */
function outerModules() {
  const found = new Set(ENTRIES.map(sourceOf));
  const imports = (id) => {
    const { now = [], later = [] } = modules.get(id) ?? {};
    // an import with a resolution mode of its own means the same in every format
    const types = (declarations.get(id)?.imported ?? []).filter(({ mode }) => mode === undefined);
    return [...now, ...later, ...types.map((one) => one.id)];
  };
  const all = new Set([...modules.keys(), ...declarations.keys()]);
  for (let size = 0; size !== found.size;) {
    size = found.size;
    for (const id of all) if (imports(id).some((one) => isNest(one) || found.has(one))) found.add(id);
  }
  return found;
}

/**
 * The entries of the core: one for each entry point of the package, with what its outer modules import from the core, and
 * one for each module that is imported when it is needed. `places` says where a module of the core is exported, and as what.
 */
function coreEntries() {
  const places = new Map();
  const later = new Set();
  const texts = new Map();
  for (const entry of ENTRIES) {
    const taken = new Map();
    for (const id of outerReachedFrom(sourceOf(entry))) {
      for (const one of modules.get(id).later) if (isCore(one)) later.add(one);
      for (const one of modules.get(id).now) {
        if (!isCore(one) || places.has(one)) continue;
        places.set(one, { entry, names: modules.get(one).exports.map((name) => [name, freeName(name, taken)]) });
        for (const [, name] of places.get(one).names) taken.set(name, one);
      }
    }
    const lines = [...places]
      .filter(([, place]) => place.entry === entry)
      .map(([id, { names }]) => exportLine(names, id));
    if (lines.length > 0) texts.set(entry, lines.join('\n'));
  }
  return { places, later, texts };
}

function isCore(id) {
  return modules.has(id) && !outer.has(id);
}

function outerReachedFrom(entry) {
  const reached = new Set([entry]);
  for (const id of reached) {
    const { now, later } = modules.get(id);
    for (const one of [...now, ...later]) if (outer.has(one)) reached.add(one);
  }
  return reached;
}

/** `name`, or one made of it that no other module of the same entry exports. */
function freeName(name, taken) {
  return taken.has(name) ? freeName(`${name}_`, taken) : name;
}

function exportLine(names, from) {
  const list = names.map(([name, as]) => (name === as ? name : `${name} as ${as}`));
  return `export { ${list.join(', ')} } from ${JSON.stringify(from)};`;
}

async function buildCore() {
  const texts = new Map([...core.texts].map(([entry, text]) => [`core:${entry}`, text]));
  const plugin = {
    name: 'entries of the core',
    resolveId: (id) => (texts.has(id) ? id : undefined),
    load: (id) => texts.get(id),
  };
  const input = {
    ...Object.fromEntries([...core.texts.keys()].map((entry) => [entry, `core:${entry}`])),
    ...inputOf([...PROGRAMS, ...[...core.later].map(nameOf)]),
  };
  const bundle = await rolldown({ ...COMMON, input, external: isPackage, plugins: [plugin] });
  await bundle.write({ ...OUTPUT, format: 'cjs', dir: CORE, chunkFileNames: 'parts/[name].js' });
  await bundle.close();
}

/** Builds the outer modules. What they import of the core is loaded from where `buildCore` wrote it. */
async function buildFormat(format) {
  const dir = join(DIST, format);
  const plugin = {
    name: 'core',
    async resolveId(id, importer, options) {
      if (id.startsWith('core:')) return { id, external: true };
      const found = await this.resolve(id, importer, { ...options, skipSelf: true });
      if (found === null || !isCore(found.id) || options.kind !== 'dynamic-import') return found;
      return { id: `core:${nameOf(found.id)}`, external: true };
    },
    load(id) {
      if (!isCore(id)) return undefined;
      const { entry, names } = core.places.get(id);
      return exportLine(
        names.map(([name, as]) => [as, name]),
        `core:${entry}`,
      );
    },
    generateBundle(_options, files) {
      for (const file of Object.values(files)) if (file.type === 'chunk') file.code = withPaths(file, dir);
    },
  };
  const bundle = await rolldown({ ...COMMON, input: inputOf(ENTRIES), external: isPackage, plugins: [plugin] });
  await bundle.write({ ...OUTPUT, format, dir, chunkFileNames: 'parts/[name].js' });
  await bundle.close();
}

/** The code with the places of the core's entries. Only lines of imports change, so the source map remains right. */
function withPaths({ code, fileName }, dir) {
  const here = dirname(join(dir, fileName));
  return code.replace(/"core:([^"]+)"/g, (_, name) => JSON.stringify(pathFrom(here, join(CORE, `${name}.js`))));
}

function pathFrom(directory, file) {
  const path = relative(directory, file);
  return path.startsWith('.') ? path : `./${path}`;
}

async function buildSchematics() {
  const from = join(ROOT, 'schematics');
  const dir = join(DIST, 'cjs', 'schematics');
  const input = Object.fromEntries(SCHEMATICS.map((name) => [name, join(from, `${name}.ts`)]));
  const bundle = await rolldown({ ...COMMON, input });
  await bundle.write({ ...OUTPUT, sourcemap: false, format: 'cjs', dir });
  await bundle.close();
  await cp(from, dir, { recursive: true, filter: (path) => !path.endsWith('.ts') });
}

/** Writes the declarations that the entry points reach: all of them as CommonJS, and the outer ones as ES modules too. */
async function writeDeclarations() {
  for (const [id, { text }] of declarations) {
    const name = `${nameOf(id)}.d.ts`;
    await writeText(join(DIST, 'cjs', name), text);
    if (outer.has(id))
      await writeText(
        join(DIST, 'esm', name),
        text.replace(IMPORT, (...found) => asEsm(id, found)),
      );
  }
}

/** An import of the ES declarations of module `id`: those of the core are the CommonJS ones. */
function asEsm(id, [whole, before, quote, path, mode = '']) {
  const target = targetOf(id, path);
  if (!target.startsWith(LIB) || outer.has(target)) return whole;
  const place = join(DIST, 'cjs', `${nameOf(target)}.js`);
  return `${before}${quote}${pathFrom(dirname(join(DIST, 'esm', nameOf(id))), place)}${quote}${mode}`;
}

async function writeText(path, text) {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}
