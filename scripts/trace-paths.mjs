// Counts the source files and the named functions of the library that run for one call of each kind: V8's precise coverage
// of the bundles, and the source maps that the build writes beside them. Background work runs beside the calls, so each call
// is made in several processes: what ran in all of them counts.
// Run after `npm run build`. With --check, fails when more files run than scripts/trace-paths.json allows.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Session } from 'node:inspector/promises';
import { SourceMap } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const LIB = fileURLToPath(new URL('../lib/', import.meta.url));
const BUILT = new URL('../dist/', import.meta.url);
const ALLOWED = new URL('./trace-paths.json', import.meta.url);
const LANE = 'standard';
const PROCESSES = 3;
const VALUE = { title: 'a value', words: ['some', 'words'], count: 3 };
/** How a process of this script is asked for what ran in it, as JSON. */
const ONE_PROCESS = '--one-process';

if (process.argv.includes(ONE_PROCESS)) console.log(JSON.stringify(await runOfEachCall()));
else await report();

async function report() {
  const rows = common(await Promise.all(Array.from({ length: PROCESSES }, askOneProcess)));
  const allowed = JSON.parse(readFileSync(ALLOWED, 'utf8'));
  const listed = process.argv.includes('--list');
  console.log('call                 files   allowed   named functions');
  for (const { name, files, functions } of rows) {
    const numbers = [
      String(files.length).padStart(5),
      String(allowed[name]).padStart(9),
      String(functions.length).padStart(17),
    ];
    console.log(`${name.padEnd(20)} ${numbers.join(' ')}`);
    if (listed) for (const one of functions) console.log(`    ${one}`);
  }
  const grown = rows.filter(({ name, files }) => files.length > allowed[name]);
  if (process.argv.includes('--check') && grown.length > 0) {
    console.error(`More files run than scripts/trace-paths.json allows: ${grown.map(({ name }) => name).join(', ')}.`);
    process.exitCode = 1;
  }
}

async function askOneProcess() {
  const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(import.meta.url), ONE_PROCESS], {
    maxBuffer: 64 * 1024 * 1024,
  });
  return JSON.parse(stdout);
}

/** Keeps the files and the functions that each of the processes ran for a call. */
function common([first, ...others]) {
  return first.map(({ name, files, functions }, at) => ({
    name,
    files: files.filter((file) => others.every((rows) => rows[at].files.includes(file))),
    functions: functions.filter((one) => others.every((rows) => rows[at].functions.includes(one))),
  }));
}

/** Makes each call once, in this process. */
async function runOfEachCall() {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  const { CacheManager } = await import(new URL('esm/index.js', BUILT).href);
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });

  const runs = [];
  const traced = async (name, call) => {
    await session.post('Profiler.takePreciseCoverage');
    const result = await call();
    const { result: scripts } = await session.post('Profiler.takePreciseCoverage');
    runs.push({ name, scripts });
    return result;
  };

  const directory = await mkdtemp(join(tmpdir(), 'trace-paths-'));
  const settings = { lane: LANE, directory, logger: false };
  try {
    const cache = await traced('boot', async () => {
      const opened = await CacheManager.fromSettings(settings);
      await quiet();
      return opened;
    });
    await traced('miss', () => cache.getOrSet('key', () => VALUE));
    await traced('its write to disk', () => cache.flush());
    await cache.get('key');
    await traced('hit in memory', () => cache.get('key'));
    await traced('invalidateByTag', () => cache.invalidateByTag('news'));
    await traced('cacheCheckpoint', () => cache.snapshots.cacheCheckpoint('run', VALUE));
    await traced('close', () => cache.close());

    const again = await CacheManager.fromSettings(settings);
    await traced('hit in L3', () => again.get('key'));
    await again.close();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  return runs.map(({ name, scripts }) => ({ name, ...countOf(scripts) }));
}

/** Waits until the background work of an app has ended. The app looks at its log every 250 ms: the calls come in between. */
function quiet() {
  return new Promise((resolve) => setTimeout(resolve, 300));
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
