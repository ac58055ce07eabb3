import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from './free-port.js';
import { RedisServer, SERVER_COMMAND } from './redis-server.js';

const run = promisify(execFile);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const DOWN_AFTER_MS = 500;
const RESTORED_WITHIN_MS = 30_000;

async function ask(port: number, ...command: readonly string[]): Promise<string> {
  const { stdout } = await run('redis-cli', ['-p', String(port), ...command], { timeout: 5_000 });
  return stdout.trim();
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const last = Date.now() + RESTORED_WITHIN_MS; Date.now() < last; await pause(50)) {
    if (await holds().catch(() => false)) return;
  }
  throw new Error('The pair was not restored in time.');
}

/** A master, its replica, and one sentinel that watches both. */
export class RedisSentinel {
  /** What the sentinel calls the pair. */
  static readonly NAME = 'the-log';

  private constructor(
    readonly servers: readonly RedisServer[],
    readonly port: number,
    private readonly directory: string,
    private readonly process: ChildProcess,
  ) {}

  static async start(): Promise<RedisSentinel> {
    const master = await RedisServer.start();
    const replica = await RedisServer.start('--replicaof', '127.0.0.1', `${master.port}`);
    // The sentinel looks for replicas at once, and then every 10 s only.
    await until(async () => (await ask(master.port, 'INFO', 'replication')).includes('state=online'));
    const directory = await mkdtemp(join(tmpdir(), 'lane-cache-sentinel-'));
    const port = await freePort();
    const file = join(directory, 'sentinel.conf');
    const lines = [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${directory}`,
      `sentinel monitor ${RedisSentinel.NAME} 127.0.0.1 ${master.port} 1`,
      `sentinel down-after-milliseconds ${RedisSentinel.NAME} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${RedisSentinel.NAME} 2000`,
    ];
    await writeFile(file, lines.join('\n'));
    const child = spawn(SERVER_COMMAND, [file, '--sentinel'], { stdio: 'ignore' });
    const sentinel = new RedisSentinel([master, replica], port, directory, child);
    await sentinel.whenWhole();
    return sentinel;
  }

  /** The server that the sentinel names as the master. */
  async master(): Promise<RedisServer> {
    const [, port] = (await ask(this.port, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', RedisSentinel.NAME)).split('\n');
    const found = this.servers.find((server) => server.port === Number(port));
    if (found === undefined) throw new Error(`The sentinel names no server of this pair: ${port}`);
    return found;
  }

  /** Resolves when the master has a replica that is up to date, and the sentinel knows both. */
  async whenWhole(): Promise<void> {
    await until(() => this.isWhole());
  }

  /** Makes the replica the master, while both run. */
  async failOver(): Promise<void> {
    const before = await this.master();
    await ask(this.port, 'SENTINEL', 'FAILOVER', RedisSentinel.NAME);
    await this.whenAnotherThan(before);
  }

  async whenAnotherThan(before: RedisServer): Promise<void> {
    await until(async () => (await this.master()) !== before);
  }

  async dispose(): Promise<void> {
    const ended = once(this.process, 'exit');
    // false: it has ended
    if (this.process.kill('SIGKILL')) await ended;
    await Promise.all(this.servers.map((server) => server.dispose()));
    await rm(this.directory, { recursive: true, force: true });
  }

  private async isWhole(): Promise<boolean> {
    const master = await this.master();
    const state = await ask(master.port, 'INFO', 'replication');
    const known = await ask(this.port, 'SENTINEL', 'REPLICAS', RedisSentinel.NAME);
    const replica = this.servers.find((server) => server !== master);
    return (
      state.includes('role:master') &&
      state.includes('state=online') &&
      known.includes(`127.0.0.1:${replica?.port}`) &&
      !/_down|disconnected/.test(known)
    );
  }
}
