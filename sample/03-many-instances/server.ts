import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

export interface Server {
  readonly url: string;
  stop(): Promise<void>;
}

/** The Redis at REDIS_URL, or one that is started from PATH and stopped with the sample. */
export async function findServer(): Promise<Server> {
  const given = process.env['REDIS_URL'];
  if (given !== undefined) return { url: given, stop: async () => undefined };
  for (const binary of ['redis-server', 'valkey-server']) {
    const port = await freePort();
    const server = await start(binary, port);
    if (server !== undefined) return { url: `redis://127.0.0.1:${port}`, stop: () => end(server) };
  }
  throw new Error('Neither redis-server nor valkey-server is on PATH. Install one, or set REDIS_URL.');
}

async function start(binary: string, port: number): Promise<ChildProcess | undefined> {
  const child = spawn(binary, ['--port', `${port}`, '--bind', '127.0.0.1', '--save', ''], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const missing = once(child, 'error').then(() => undefined);
  const ready = (async () => {
    for await (const line of createInterface({ input: child.stdout })) {
      if (/ready to accept connections/i.test(line)) return child;
    }
    return undefined;
  })();
  return Promise.race([ready, missing]);
}

async function end(server: ChildProcess): Promise<void> {
  const ended = once(server, 'exit');
  server.kill();
  await ended;
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('There is no free port.');
  return address.port;
}
