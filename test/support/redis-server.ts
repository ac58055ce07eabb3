import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { freePort } from './free-port.js';

const SERVERS = ['redis-server', 'valkey-server'];

function serverBinary(): string | undefined {
  for (const directory of (process.env['PATH'] ?? '').split(delimiter)) {
    for (const name of SERVERS) if (isExecutable(join(directory, name))) return join(directory, name);
  }
  return undefined;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const BINARY = serverBinary();
/** The server on PATH, or the name by which it would be found. */
export const SERVER_COMMAND = BINARY ?? 'redis-server';
const GIVEN_URL = process.env['REDIS_URL'];

/** What a test file needs: any server, or one of its own that it may stop, freeze and fill. */
export type ServerNeed = 'any' | 'own';

/**
 * `describe` where there is a server, else a loud skip; with CI set there must be one.
 * A server of the test's own is started from PATH; REDIS_URL serves only tests that leave the server alone.
 */
export function describeWithRedis(
  api: { readonly describe: typeof import('@jest/globals').describe },
  name: string,
  body: () => void,
  need: ServerNeed = 'any',
): void {
  const isThere = BINARY !== undefined || (need === 'any' && GIVEN_URL !== undefined);
  if (isThere) {
    api.describe(name, body);
    return;
  }
  const problem = `NO REDIS: neither redis-server nor valkey-server is on PATH, and REDIS_URL is ${GIVEN_URL === undefined ? 'not set' : 'not enough'}: skipping '${name}'`;
  if (process.env['CI'] !== undefined) throw new Error(problem);
  process.stderr.write(`\n*** ${problem} ***\n`);
  const { skip } = api.describe;
  skip(name, body);
}

/** A server of a test's own: on a free port of this machine, without persistence by default. */
export class RedisServer {
  private constructor(
    readonly port: number,
    private readonly directory: string,
    private readonly extra: readonly string[],
    private readonly over: 'tcp' | 'tls',
    private process?: ChildProcess,
  ) {}

  static start(...extra: readonly string[]): Promise<RedisServer> {
    return this.startOver('tcp', ...extra);
  }

  static async startOver(over: 'tcp' | 'tls', ...extra: readonly string[]): Promise<RedisServer> {
    const directory = await mkdtemp(join(tmpdir(), 'lane-cache-redis-'));
    const server = new RedisServer(await freePort(), directory, extra, over);
    await server.boot();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** After `stop`: the same port again. */
  async boot(): Promise<void> {
    const ports = this.over === 'tcp' ? ['--port', `${this.port}`] : ['--port', '0', '--tls-port', `${this.port}`];
    const fixed = [...ports, '--bind', '127.0.0.1', '--dir', this.directory];
    const child = spawn(SERVER_COMMAND, [...fixed, '--save', '', '--appendonly', 'no', ...this.extra], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.process = child;
    const lines: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line);
      if (/ready to accept connections/i.test(line)) {
        child.stdout.resume();
        return;
      }
    }
    throw new Error(`The server did not start:\n${lines.join('\n')}`);
  }

  freeze(): void {
    this.process?.kill('SIGSTOP');
  }

  thaw(): void {
    this.process?.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    const child = this.process;
    delete this.process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  async dispose(): Promise<void> {
    await this.stop();
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

const run = promisify(execFile);

/** A certificate of 127.0.0.1 and localhost, and the flags by which a server speaks TLS with it. */
export async function selfSigned(
  directory: string,
): Promise<{ readonly ca: Buffer; readonly file: string; readonly flags: readonly string[] }> {
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const pair = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key];
  await run('openssl', ['req', '-x509', ...pair, '-out', cert, '-days', '2', ...subject]);
  const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert];
  return { ca: await readFile(cert), file: cert, flags: [...files, '--tls-auth-clients', 'no'] };
}

/** Where tests that leave the server alone find one: REDIS_URL, or one of their own. */
export async function anyServer(): Promise<{ readonly url: string; dispose(): Promise<void> }> {
  if (GIVEN_URL !== undefined) return { url: GIVEN_URL, dispose: async () => undefined };
  return RedisServer.start();
}
