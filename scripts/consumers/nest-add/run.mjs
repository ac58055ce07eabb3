// A fresh app of `nest new`, then `nest add nestjs-lane-cache`, one decorator, and a restart: the second process answers from L3.
// A copy of the fresh app gets `--redis --dashboard`: it starts without a server, and serves the page.
// The packages are those of this folder, so nothing is installed in the fresh app.
import { ok, equal } from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const HERE = import.meta.dirname ?? dirname(process.argv[1]);
const APP = join(HERE, 'fresh');
const WITH_OPTIONS = join(HERE, 'with-options');
const NEST = join(HERE, 'node_modules/@nestjs/cli/bin/nest.js');
const CLI = join(HERE, 'node_modules/.bin/nestjs-lane-cache');
// the commands start further processes by the name of node
const env = {
  ...process.env,
  PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}`,
  LANE_CACHE_DIR: '.lane-cache',
};

const nest = (cwd, ...args) =>
  execFileSync(process.execPath, [NEST, ...args], { cwd, env, stdio: 'pipe', encoding: 'utf8' });
const read = (path, app = APP) => readFileSync(join(app, path), 'utf8');

const more = process.argv.includes('--no-observe') ? ['--no-observe'] : [];
nest(HERE, 'new', 'fresh', '--skip-git', '--skip-install', '--package-manager', 'npm', ...more);
cpSync(APP, WITH_OPTIONS, { recursive: true });
nest(APP, 'add', 'nestjs-lane-cache', '--skip-install');
const FILES = ['src/app.module.ts', 'src/main.ts', '.gitignore'];
const added = FILES.map((path) => read(path));
ok(/imports: \[LaneCacheModule\.forRoot\(\)\]/.test(added[0]), added[0]);
ok(/app\.enableShutdownHooks\(\);\n {2}await app\.listen/.test(added[1]), added[1]);
ok(/^\.lane-cache$/m.test(added[2]), added[2]);
nest(APP, 'add', 'nestjs-lane-cache', '--skip-install');
equal(FILES.map((path) => read(path)).join('\n'), added.join('\n'));

edit('src/app.service.ts', [
  [
    "import { Injectable } from '@nestjs/common';",
    "import { Injectable } from '@nestjs/common';\nimport { Cached } from 'nestjs-lane-cache';",
  ],
  ['getHello(): string {', '@Cached()\n  async getHello(): Promise<string> {'],
  ["'Hello World!'", '`computed by ${process.pid}`'],
]);
edit('src/app.controller.ts', [['getHello(): string {', 'getHello(): Promise<string> {']]);
nest(APP, 'build');

const first = await answerOf();
equal(first.answers[0], `computed by ${first.pid}`);
const second = await answerOf();
ok(second.pid !== first.pid);
equal(second.answers.join(), [first.answers[0], first.answers[0]].join());
equal(second.metrics.lanes.standard.l3.hits, 1);
equal(second.metrics.lanes.standard.l1.hits, 1);
await addWithOptions();
console.log('ok');

/** The app has a client of Redis already, so that nothing is installed. */
async function addWithOptions() {
  const manifest = JSON.parse(read('package.json', WITH_OPTIONS));
  const dependencies = { ...manifest.dependencies, redis: '^6.0.0' };
  writeFileSync(join(WITH_OPTIONS, 'package.json'), JSON.stringify({ ...manifest, dependencies }, undefined, 2));
  nest(WITH_OPTIONS, 'add', 'nestjs-lane-cache', '--skip-install', '--redis', '--dashboard');
  const module = read('src/app.module.ts', WITH_OPTIONS);
  ok(/distributed: \{ url: process\.env\.REDIS_URL .*dashboard: true/s.test(module), module);
  nest(WITH_OPTIONS, 'build');
  const page = await started(WITH_OPTIONS, { REDIS_URL: 'redis://127.0.0.1:1' }, ({ url, app }) =>
    answered(`${url}lane-cache/dashboard`, app),
  );
  ok(page.includes('<!doctype html>') || page.includes('<!DOCTYPE html>'), page);
}

function edit(path, changes) {
  let text = read(path);
  for (const [before, after] of changes) {
    ok(text.includes(before), `${path} has no ${before}:\n${text}`);
    text = text.replace(before, after);
  }
  writeFileSync(join(APP, path), text);
}

/** Asks the app twice. */
function answerOf() {
  return started(APP, {}, async ({ url, app }) => {
    const answers = [await answered(url, app), await answered(url, app)];
    const metrics = JSON.parse(
      execFileSync(process.execPath, [CLI, 'metrics', '--json'], { cwd: APP, env, encoding: 'utf8' }),
    );
    return { pid: app.pid, answers, metrics };
  });
}

/** Starts an app, uses it, and ends it as a supervisor does. */
async function started(cwd, more, use) {
  const port = await freePort();
  const app = spawn(process.execPath, ['dist/main.js'], {
    cwd,
    env: { ...env, ...more, PORT: String(port) },
    stdio: 'inherit',
  });
  const found = await use({ url: `http://localhost:${port}/`, app });
  app.kill('SIGTERM');
  await once(app, 'exit');
  return found;
}

async function answered(url, app) {
  for (;;) {
    ok(app.exitCode === null, 'the app has ended');
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok) return response.text();
    await pause(50);
  }
}

async function freePort() {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}
