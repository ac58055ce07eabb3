// Packs the package, installs the tarball into small apps of their own and runs their tests: `consumers.mjs [--all]
// [--only <part of a name>] [--tarball <file>]`. Without --all, those that CI runs. Exit code 1 if one of them fails.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { CONSUMERS } from './consumers/matrix.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const APPS = fileURLToPath(new URL('./consumers', import.meta.url));
const STEP_TIMEOUT_MS = 300_000;
/** Installs as on a machine without compilers: nothing is built, no script is run. */
const INSTALL = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
/** Other package managers, which come from npm. What they run is a script for Node. */
const MANAGERS = {
  'yarn 4': {
    needs: '@yarnpkg/cli-dist@4',
    script: '@yarnpkg/cli-dist/bin/yarn.js',
    install: ['install'],
    node: ['node'],
  },
  pnpm: { needs: 'pnpm@10', script: 'pnpm/bin/pnpm.cjs', install: ['install', '--ignore-scripts'], node: undefined },
};
const ENVIRONMENT = {
  YARN_NODE_LINKER: 'pnp',
  YARN_ENABLE_IMMUTABLE_INSTALLS: 'false',
  YARN_ENABLE_TELEMETRY: '0',
  YARN_ENABLE_GLOBAL_CACHE: 'false',
};

const { values: options } = parseArgs({
  options: { all: { type: 'boolean' }, only: { type: 'string' }, tarball: { type: 'string' } },
});

const place = mkdtempSync(join(tmpdir(), 'lane-cache-consumers-'));
try {
  process.exitCode = main() ? 0 : 1;
} finally {
  rmSync(place, { recursive: true, force: true });
}

function main() {
  const tarball = options.tarball === undefined ? pack() : resolve(options.tarball);
  const chosen = CONSUMERS.filter(
    ({ name, inCi }) => (options.all || inCi || options.only !== undefined) && name.includes(options.only ?? ''),
  );
  const results = chosen.map((consumer) => tryOut(consumer, tarball));
  const table = new Table({ head: ['consumer', 'node', 'result', 'seconds'], style: { head: [], border: [] } });
  for (const { consumer, failure, seconds } of results) {
    table.push([consumer.name, consumer.node ?? process.version, failure === undefined ? 'ok' : 'FAILED', seconds]);
  }
  console.log(`\n${table}`);
  console.log(`package: ${megabytes(statSync(tarball).size)} packed`);
  for (const { consumer, installed } of results) {
    if (consumer.isBare && installed !== undefined) console.log(`installed: ${installed}`);
  }
  for (const { consumer, failure } of results) {
    if (failure !== undefined) console.error(`\n--- ${consumer.name}\n${failure}`);
  }
  return results.length > 0 && results.every(({ failure }) => failure === undefined);
}

function pack() {
  const packed = run('npm', ['pack', '--json', '--pack-destination', place], ROOT);
  if (packed.failure !== undefined) throw new Error(`The package could not be packed.\n${packed.failure}`);
  return join(
    place,
    readdirSync(place).find((name) => name.endsWith('.tgz')),
  );
}

/** Installs one consumer in its own folder and runs its steps there. */
function tryOut(consumer, tarball) {
  const directory = join(place, consumer.name);
  mkdirSync(directory);
  cpSync(join(APPS, consumer.app), directory, { recursive: true });
  if (consumer.alsoFrom !== undefined) cpSync(join(ROOT, consumer.alsoFrom), directory, { recursive: true });
  const dependencies = { 'nestjs-lane-cache': `file:${tarball}`, ...consumer.dependencies };
  const manifest = { name: consumer.name, private: true, type: consumer.type, dependencies };
  writeFileSync(join(directory, 'package.json'), JSON.stringify(manifest, null, 2));
  const startedAt = performance.now();
  const { installation, node } = install(consumer, directory);
  const installed = consumer.isBare ? installedSizes(directory) : undefined;
  const steps = installation.failure === undefined ? consumer.steps : [];
  let { failure } = installation;
  for (const step of steps)
    failure ??= run(node[0], [...node.slice(1), ...step], directory, consumer.environment).failure;
  rmSync(directory, { recursive: true, force: true });
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
  process.stderr.write(`${consumer.name}: ${failure === undefined ? 'ok' : 'FAILED'} in ${seconds} s\n`);
  return { consumer, failure, seconds, installed };
}

/** What the installation came to, and the command that runs a script of the app. */
function install(consumer, directory) {
  if (consumer.manager === undefined) {
    const more = consumer.omitOptional ? ['--omit=optional'] : [];
    const runtime =
      consumer.runtime === undefined ? process.execPath : join(directory, 'node_modules', consumer.runtime);
    return { installation: run('npm', [...INSTALL, ...more], directory), node: [runtime] };
  }
  const { needs, script, install: command, node } = MANAGERS[consumer.manager];
  const tools = join(place, 'tools');
  mkdirSync(tools, { recursive: true });
  const tooling = run('npm', [...INSTALL, '--prefix', tools, needs], tools);
  const manager = [process.execPath, join(tools, 'node_modules', script)];
  // marks the folder as a project of its own
  writeFileSync(join(directory, 'yarn.lock'), '');
  const installation = tooling.failure === undefined ? run(manager[0], [manager[1], ...command], directory) : tooling;
  return { installation, node: node === undefined ? [process.execPath] : [...manager, ...node] };
}

/** `{ failure }` with the output of the step, or `{}` if it succeeded. */
function run(command, args, directory, environment = {}) {
  const env = { ...process.env, ...ENVIRONMENT, ...environment, LANE_CACHE_DIR: join(directory, '.lane-cache') };
  const done = spawnSync(command, args, { cwd: directory, env, encoding: 'utf8', timeout: STEP_TIMEOUT_MS });
  if (done.status === 0) return {};
  const printed = `${done.stdout ?? ''}${done.stderr ?? ''}`.slice(-6_000);
  return { failure: `${command} ${args.join(' ')}: ${done.error?.message ?? `exit code ${done.status}`}\n${printed}` };
}

function installedSizes(directory) {
  const modules = join(directory, 'node_modules');
  const own = megabytes(sizeOf(join(modules, 'nestjs-lane-cache')));
  return `${own} for the package, ${megabytes(sizeOf(modules))} with all it needs, Nest included`;
}

function sizeOf(directory) {
  let bytes = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).size;
  }
  return bytes;
}

function megabytes(bytes) {
  return `${(bytes / 1024 ** 2).toFixed(2)} MB`;
}
