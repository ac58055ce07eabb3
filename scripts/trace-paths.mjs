// Counts the source files and the named functions of the library that run for one call of each kind: V8's precise coverage
// of the bundles, and the source maps that the build writes beside them.
// Run after `npm run build`. With --check, fails when more files run than scripts/trace-paths.json allows.
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Session } from 'node:inspector/promises';
import { SourceMap } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const LIB = fileURLToPath(new URL('../lib/', import.meta.url));
const BUILT = new URL('../dist/', import.meta.url);
const ALLOWED = new URL('./trace-paths.json', import.meta.url);
const LANE = 'standard';

const session = new Session();
session.connect();
await session.post('Profiler.enable');
const { CacheManager } = await import(new URL('esm/index.js', BUILT).href);
await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });

const directory = await mkdtemp(join(tmpdir(), 'trace-paths-'));
const settings = { lane: LANE, directory, logger: false };
const value = { title: 'a value', words: ['some', 'words'], count: 3 };

/** Runs `call`, and records what ran until it was answered. */
async function traced(name, call) {
  await session.post('Profiler.takePreciseCoverage');
  const result = await call();
  const { result: scripts } = await session.post('Profiler.takePreciseCoverage');
  runs.push({ name, scripts });
  return result;
}

function countOf(scripts) {
  const files = new Set();
  const functions = new Set();
  for (const { url, functions: found } of scripts) {
    if (!url.startsWith(BUILT.href)) continue;
    const sourceOf = sources(fileURLToPath(url));
    for (const { functionName, ranges } of found) {
      const [{ startOffset, count }] = ranges;
      const isModule = functionName === '' && startOffset === 0;
      const file = isModule || count === 0 ? undefined : sourceOf(startOffset);
      if (file === undefined) continue;
      files.add(file);
      if (functionName !== '') functions.add(`${file} ${functionName} ${url}:${startOffset}`);
    }
  }
  return { files: [...files].sort(), functions: [...functions].sort() };
}

/** Which source file a place in a bundle comes from; undefined for what the bundler added. */
function sources(bundle) {
  // the bundler's own runtime has no source
  if (!existsSync(`${bundle}.map`)) return () => undefined;
  const text = readFileSync(bundle, 'utf8');
  const map = new SourceMap(JSON.parse(readFileSync(`${bundle}.map`, 'utf8')));
  return (offset) => {
    const before = text.slice(0, offset).split('\n');
    const line = before.length - 1;
    const { generatedLine, originalSource = '' } = map.findEntry(line, before.at(-1).length);
    const path = resolve(dirname(bundle), originalSource);
    // on a line of its own the bundler exports what it put in this bundle
    return generatedLine === line && path.startsWith(LIB) ? relative(LIB, path) : undefined;
  };
}

const runs = [];
try {
  const cache = await traced('boot', async () => {
    const opened = await CacheManager.fromSettings(settings);
    await quiet();
    return opened;
  });
  await traced('miss', () => cache.getOrSet('key', () => value));
  await traced('its write to disk', () => cache.flush());
  await cache.get('key');
  await traced('hit in memory', () => cache.get('key'));
  await traced('invalidateByTag', () => cache.invalidateByTag('news'));
  await traced('cacheCheckpoint', () => cache.snapshots.cacheCheckpoint('run', value));
  await traced('close', () => cache.close());

  const again = await CacheManager.fromSettings(settings);
  await traced('hit in L3', () => again.get('key'));
  await again.close();
} finally {
  await rm(directory, { recursive: true, force: true });
}

/** Waits until the background work of an app has ended. */
function quiet() {
  return new Promise((resolve) => setTimeout(resolve, 200));
}

const rows = runs.map(({ name, scripts }) => ({ name, ...countOf(scripts) }));
const allowed = JSON.parse(readFileSync(ALLOWED, 'utf8'));
const listed = process.argv.includes('--list');
console.log('call                 files   allowed   named functions');
for (const { name, files, functions } of rows) {
  const limit = allowed[name];
  console.log(
    `${name.padEnd(20)} ${String(files.length).padStart(5)} ${String(limit).padStart(9)} ${String(functions.length).padStart(17)}`,
  );
  if (listed) for (const one of functions) console.log(`    ${one}`);
}
const grown = rows.filter(({ name, files }) => files.length > allowed[name]);
if (process.argv.includes('--check') && grown.length > 0) {
  console.error(`More files run than scripts/trace-paths.json allows: ${grown.map(({ name }) => name).join(', ')}.`);
  process.exitCode = 1;
}
