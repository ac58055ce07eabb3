// A fresh app of `nest new`, then `nest add nestjs-lane-cache`, one decorator, and a restart: the second process answers from L3.
// The packages are those of this folder, so nothing is installed in the fresh app.
import { ok, equal } from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const HERE = import.meta.dirname ?? dirname(process.argv[1]);
const APP = join(HERE, 'fresh');
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
const read = (path) => readFileSync(join(APP, path), 'utf8');

const more = process.argv.includes('--no-observe') ? ['--no-observe'] : [];
nest(HERE, 'new', 'fresh', '--skip-git', '--skip-install', '--package-manager', 'npm', ...more);
nest(APP, 'add', 'nestjs-lane-cache', '--skip-install');
const added = ['src/app.module.ts', 'src/main.ts', '.gitignore'].map(read);
ok(/imports: \[LaneCacheModule\.forRoot\(\)\]/.test(added[0]), added[0]);
ok(/app\.enableShutdownHooks\(\);\n {2}await app\.listen/.test(added[1]), added[1]);
ok(/^\.lane-cache$/m.test(added[2]), added[2]);
nest(APP, 'add', 'nestjs-lane-cache', '--skip-install');
equal(['src/app.module.ts', 'src/main.ts', '.gitignore'].map(read).join('\n'), added.join('\n'));

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
console.log('ok');

function edit(path, changes) {
  let text = read(path);
  for (const [before, after] of changes) {
    ok(text.includes(before), `${path} has no ${before}:\n${text}`);
    text = text.replace(before, after);
  }
  writeFileSync(join(APP, path), text);
}

/** Starts the app, asks it twice, and ends it as a supervisor does. */
async function answerOf() {
  const port = await freePort();
  const app = spawn(process.execPath, ['dist/main.js'], {
    cwd: APP,
    env: { ...env, PORT: String(port) },
    stdio: 'inherit',
  });
  const url = `http://localhost:${port}/`;
  const answers = [await answered(url, app), await answered(url, app)];
  const metrics = JSON.parse(
    execFileSync(process.execPath, [CLI, 'metrics', '--json'], { cwd: APP, env, encoding: 'utf8' }),
  );
  app.kill('SIGTERM');
  await once(app, 'exit');
  return { pid: app.pid, answers, metrics };
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
