import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { inChild } from '../child.mjs';
import { CacheManager } from '../library.mjs';
import { median } from '../race.mjs';
import { atMost, row, under } from '../row.mjs';

const ROUNDS = 9;
const HOLDER = fileURLToPath(new URL('../children/start.mjs', import.meta.url));
const CLI = fileURLToPath(new URL('../../dist/cjs/core/cli/main.js', import.meta.url));

/** How long it takes to load the library, to open an app of a few entries, and to run the command line. */
export async function start(scratch) {
  return [await loading(), await opening(scratch.directory()), await commands(scratch.directory())];
}

async function loading() {
  const took = await interleaved(
    ['dependencies import', 'library import', 'dependencies require', 'library require'].map((what) => [
      what,
      async () => (await inChild('start', [what])).ms,
    ]),
  );
  const more = (how) => took.get(`library ${how}`) - took.get(`dependencies ${how}`);
  return row('load the package', 'ms', took, [
    under(more('import'), 60, 'ms', 'import, beyond what it depends on'),
    under(more('require'), 60, 'ms', 'require, beyond what it depends on'),
  ]);
}

async function opening(directory) {
  await inChild('start', ['open', directory]);
  const took = await interleaved([
    ['open', async () => (await inChild('start', ['open', directory])).ms],
    [
      'open after kill -9',
      async () => {
        await killed(directory);
        return (await inChild('start', ['open', directory])).ms;
      },
    ],
  ]);
  return row('open a directory of a few entries, lmdb loaded with it', 'ms', took, [
    under(took.get('open'), 60, 'ms', 'opening'),
    atMost(took.get('open after kill -9'), took.get('open'), 1.3, 'opening what was closed'),
  ]);
}

/** An app that has opened the directory and is killed. */
async function killed(directory) {
  const child = fork(HOLDER, ['hold', directory]);
  await once(child, 'message');
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function commands(directory) {
  const cache = await CacheManager.fromSettings({ directory, logger: false });
  await cache.getOrSet('entry', () => ({ n: 1 }));
  const running = await interleaved([
    ['node -e 0', () => timed(['-e', '0'])],
    ['metrics of a running app', () => timed([CLI, 'metrics', '--directory', directory])],
  ]);
  await cache.close();
  const closed = await interleaved([
    ['metrics of a closed directory', () => timed([CLI, 'metrics', '--directory', directory])],
  ]);
  const bare = running.get('node -e 0');
  return row('the command line', 'ms', new Map([...running, ...closed]), [
    atMost(running.get('metrics of a running app'), bare, 2, 'node -e 0'),
    atMost(closed.get('metrics of a closed directory'), bare, 4, 'node -e 0'),
  ]);
}

async function timed(args) {
  const startedAt = performance.now();
  const [code] = await once(spawn(process.execPath, args, { stdio: 'ignore' }), 'exit');
  if (code !== 0) throw new Error(`start: ${args.join(' ')} ended with ${code}`);
  return performance.now() - startedAt;
}

/** The medians of works that take turns. */
async function interleaved(works) {
  const took = new Map(works.map(([name]) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) for (const [name, work] of works) took.get(name).push(await work());
  return new Map([...took].map(([name, each]) => [name, median(each)]));
}
