import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A server of the row's own, without persistence. Undefined where none is on PATH. */
export async function startServer(scratch, ...flags) {
  const port = await freePort();
  const directory = await mkdtemp(join(tmpdir(), 'lane-cache-bench-'));
  const child = spawn(
    'redis-server',
    ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no', ...flags],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const started = await Promise.race([once(child, 'spawn').then(() => true), once(child, 'error').then(() => false)]);
  if (!started) return undefined;
  scratch.onEnd(async () => {
    child.kill('SIGKILL');
    await rm(directory, { recursive: true, force: true });
  });
  for await (const line of createInterface({ input: child.stdout })) if (/ready to accept/i.test(line)) break;
  child.stdout.resume();
  return { port, url: `redis://127.0.0.1:${port}` };
}

/** Three masters. Their ports; undefined where there is no server on PATH. */
export async function startCluster(scratch) {
  const ports = [];
  for (let n = 0; n < 3; n++) {
    const bus = `${await freePort()}`;
    const server = await startServer(scratch, '--cluster-enabled', 'yes', '--cluster-port', bus);
    if (server === undefined) return undefined;
    ports.push(server.port);
  }
  await run('redis-cli', ['--cluster', 'create', ...ports.map((port) => `127.0.0.1:${port}`), '--cluster-yes']);
  for (const port of ports) {
    const isWhole = async () =>
      (await run('redis-cli', ['-p', `${port}`, 'cluster', 'info'])).stdout.includes('state:ok');
    while (!(await isWhole())) await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return ports;
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}
