// Four workers under PM2 share a directory, and are reloaded under load: no request fails, no answer is stale, and the new
// workers compute nothing that the old ones had.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { createServer as createSocketServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

process.env.PM2_HOME = join(process.cwd(), '.pm2');
process.env.PM2_DISABLE_VERSION_CHECK = 'true';
mkdirSync(process.env.PM2_HOME, { recursive: true });
const { default: pm2 } = await import('pm2');

const RELOADS = Number(process.env.LANE_CACHE_ROUNDS ?? 1);
const REQUESTS_BETWEEN = 400;
const CALLERS = 8;
const KEYS = Array.from({ length: 100 }, (_, n) => `key-${n}`);

const versions = new Map(KEYS.map((key) => [key, 1]));
const announced = new Map(versions);
const changing = new Set();
const seen = { requests: 0, changes: 0, failed: 0, stale: 0, computed: 0 };

const supplier = createServer((asked, response) => {
  const key = asked.url.slice(1);
  const version = versions.get(key);
  seen.computed++;
  setTimeout(() => response.setHeader('content-type', 'application/json').end(JSON.stringify({ version })), 10);
});
supplier.listen(0, '127.0.0.1');
await once(supplier, 'listening');
const port = await freePort();

const call = (name, ...args) => promisify(pm2[name]).call(pm2, ...args);
await call('connect');
try {
  await call('start', {
    name: 'app',
    script: 'app.mjs',
    instances: 4,
    exec_mode: 'cluster',
    wait_ready: true,
    listen_timeout: 60_000,
    kill_timeout: 8_000,
    autorestart: false,
    env: { PORT: `${port}`, SUPPLIER: `http://127.0.0.1:${supplier.address().port}` },
  });
  await untilReady();
  let isOver = false;
  const callers = Array.from({ length: CALLERS }, () => ask(() => isOver));
  for (let reload = 0; reload < RELOADS; reload++) {
    const until = seen.requests + REQUESTS_BETWEEN;
    while (seen.requests < until) await pause(20);
    await call('reload', 'app');
  }
  isOver = true;
  await Promise.all(callers);
  // What was changed last is computed now, and the next workers have it.
  for (const key of KEYS) await get(key);
  await call('reload', 'app');
  await untilReady();
  const before = seen.computed;
  for (const key of KEYS) await get(key);
  console.log(JSON.stringify({ reloads: RELOADS, ...seen, computedAfterReload: seen.computed - before }));
  assert.equal(seen.failed, 0, 'requests failed');
  assert.equal(seen.stale, 0, 'answers were stale');
  assert.equal(seen.computed - before, 0, 'the new workers were not warm');
} finally {
  await call('killDaemon').catch(() => undefined);
  pm2.disconnect();
  supplier.close();
  supplier.closeAllConnections();
}
// PM2's client would keep this process alive.
process.exit();

async function ask(isOver) {
  for (let turn = 1; !isOver(); turn++) {
    const key = KEYS[Math.floor(Math.random() * KEYS.length)];
    try {
      if (turn % 20 === 0 && !changing.has(key)) await change(key);
      await get(key);
    } catch (error) {
      seen.failed++;
      if (seen.failed < 5) console.error(error);
    }
  }
}

async function get(key) {
  const least = announced.get(key);
  const { version } = await send('GET', `/values/${key}`);
  seen.requests++;
  if (version < least) seen.stale++;
}

/** One change of a key at a time, so that it is known which one must be seen. */
async function change(key) {
  changing.add(key);
  try {
    const version = versions.get(key) + 1;
    versions.set(key, version);
    await send('POST', `/values/${key}/changed`);
    announced.set(key, version);
    seen.changes++;
  } finally {
    changing.delete(key);
  }
}

/** Every worker has L3: an owner that has just left has a successor. */
async function untilReady() {
  const pids = new Set();
  for (let tries = 0; tries < 600; tries++) {
    const workers = await call('list');
    const isOnline = workers.length === 4 && workers.every(({ pm2_env: { status } }) => status === 'online');
    const answer = isOnline ? await send('GET', '/l3').catch(() => undefined) : undefined;
    if (answer?.l3 === 'on') pids.add(answer.pid);
    else pids.delete(answer?.pid);
    if (workers.every(({ pid }) => pids.has(pid))) return;
    await pause(answer === undefined ? 100 : 5);
  }
  assert.fail('the workers did not start');
}

/** On a connection of its own, so that every worker gets its share. */
function send(method, path) {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, method, path, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => (body += text));
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode < 300) resolve(JSON.parse(body));
        else reject(new Error(`${method} ${path}: ${response.statusCode} ${body}`));
      });
    });
    sent.setTimeout(30_000, () => sent.destroy(new Error(`${method} ${path}: no answer`)));
    sent.on('error', reject);
    sent.end();
  });
}

async function freePort() {
  const probe = createSocketServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port: free } = probe.address();
  probe.close();
  await once(probe, 'close');
  return free;
}
