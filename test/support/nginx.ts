import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.js';
import { until } from './gate.js';

/** An nginx of a test's own that caches what an app answers, in front of it on a free port of this machine. */
export class Nginx {
  private constructor(
    readonly url: string,
    private readonly folder: string,
    private readonly server: ChildProcess,
  ) {}

  /** Answers name what the cache did in `X-Nginx`: MISS, HIT, EXPIRED, REVALIDATED, … */
  static async inFrontOf(program: string, appUrl: string): Promise<Nginx> {
    const folder = await mkdtemp(join(tmpdir(), 'lane-cache-nginx-'));
    await mkdir(join(folder, 'temp'));
    const port = await freePort();
    await writeFile(join(folder, 'nginx.conf'), configuration(folder, port, appUrl));
    const server = spawn(program, ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')], {
      stdio: 'inherit',
    });
    await whenListening(port, server);
    return new Nginx(`http://127.0.0.1:${port}`, folder, server);
  }

  async close(): Promise<void> {
    const ended = once(this.server, 'exit');
    // false: it has ended
    if (this.server.kill('SIGTERM')) await ended;
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

const TEMPORARY = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

function configuration(folder: string, port: number, appUrl: string): string {
  // Started by root, it would give its workers to a user who may not enter the folder.
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  return `
daemon off;
${user}
worker_processes 1;
pid ${folder}/nginx.pid;
events { worker_connections 64; }
http {
  access_log off;
  ${TEMPORARY.map((name) => `${name}_temp_path ${folder}/temp/${name};`).join('\n  ')}
  proxy_cache_path ${folder}/cache keys_zone=app:1m;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass ${appUrl};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_cache app;
      proxy_cache_revalidate on;
      add_header X-Nginx $upstream_cache_status always;
    }
  }
}
`;
}

async function whenListening(port: number, server: ChildProcess): Promise<void> {
  const hasEnded = (): boolean => server.exitCode !== null || server.signalCode !== null;
  await until(async () => hasEnded() || (await accepts(port)));
  if (hasEnded()) throw new Error(`nginx ended with ${server.exitCode ?? server.signalCode}`);
}

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
