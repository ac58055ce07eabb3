// Two instances share a server through the installed client: one by address, one by a client that the app creates.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { CacheManager } from 'nestjs-lane-cache';

const port = await freePort();
const url = `redis://127.0.0.1:${port}`;
let server = await start();
const own = await ownClient();
try {
  for (const address of [{ url }, { client: own.client }]) await share(address);
} finally {
  await own.end();
  server.kill('SIGKILL');
}

async function share(address) {
  const distributed = { ...address, prefix: 'url' in address ? 'by-address' : 'by-client' };
  const open = () => CacheManager.fromSettings({ directory: false, distributed });
  const [one, other] = [await open(), await open()];
  assert.equal(await one.getOrSet('k', () => ({ from: 'one' }), { tags: ['t'] }).then(({ from }) => from), 'one');
  await one.flush();
  assert.deepEqual(await other.getOrSet('k', () => ({ from: 'other' })), { from: 'one' });
  assert.equal(other.getMetrics().l4.hits, 1);
  await other.invalidateByTag('t');
  assert.equal(await other.get('k'), undefined);
  await until(async () => (await one.get('k')) === undefined);
  // the server stops, and starts again
  server.kill('SIGKILL');
  await once(server, 'exit');
  assert.equal(await one.getOrSet('alone', () => 1), 1);
  server = await start();
  await until(() => one.getMetrics().l4.state === 'on' && other.getMetrics().l4.state === 'on');
  await one.set('again', 2);
  await until(async () => (await other.get('again')) === 2);
  await Promise.all([one.close(), other.close()]);
}

async function until(holds) {
  for (let tries = 0; tries < 200; tries++) {
    if (await holds()) return;
    await pause(50);
  }
  assert.fail(`it did not come to be: ${holds}`);
}

/** A client as an app creates it. */
async function ownClient() {
  const redis = await import('redis').catch(() => undefined);
  if (redis !== undefined) {
    const client = redis.createClient({ url });
    client.on('error', () => undefined);
    await client.connect();
    return { client, end: async () => client.destroy() };
  }
  const { Redis } = await import('ioredis');
  const client = new Redis(url);
  client.on('error', () => undefined);
  return { client, end: async () => client.disconnect() };
}

async function start() {
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.includes('Ready to accept connections')) return child;
  }
  throw new Error('redis-server did not start');
}

/** Below those of outgoing connections: a client that tries to come back could else take the port of the stopped server. */
async function freePort() {
  for (;;) {
    const free = randomInt(20_000, 32_000);
    const probe = createServer().listen(free, '127.0.0.1');
    const isFree = await once(probe, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    probe.close();
    await once(probe, 'close');
    return free;
  }
}
