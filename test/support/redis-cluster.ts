import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { slotOf } from '../../lib/redis/client/cluster-router.js';
import { freePort } from './free-port.js';
import { RedisServer } from './redis-server.js';

const run = promisify(execFile);

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** One line of `CLUSTER NODES`. */
interface ClusterNode {
  readonly id: string;
  readonly port: number;
  readonly role: 'master' | 'replica';
  readonly masterId: string;
  readonly isFailing: boolean;
  readonly ranges: readonly (readonly [number, number])[];
}

const NODE_TIMEOUT_MS = 1_000;
/** redis-cli waits for nodes that never join. */
const CREATED_WITHIN_MS = 60_000;
/** Of ten keys each. */
const MOST_ROUNDS = 1_000;

/** A Redis Cluster on loopback: three masters, each with so many replicas. */
export class RedisCluster {
  private constructor(
    readonly servers: readonly RedisServer[],
    private readonly access: readonly string[],
  ) {}

  /** `access`: what redis-cli needs to be let in; with it, nodes speak TLS. */
  static async start(
    replicas: 0 | 1,
    flags: readonly string[] = [],
    access: readonly string[] = [],
  ): Promise<RedisCluster> {
    const count = 3 * (1 + replicas);
    const servers: RedisServer[] = [];
    for (let n = 0; n < count; n++) {
      const bus = String(await freePort());
      const timeout = ['--cluster-node-timeout', String(NODE_TIMEOUT_MS)];
      const own = ['--cluster-enabled', 'yes', '--cluster-port', bus, ...timeout];
      servers.push(await RedisServer.startOver(access.length === 0 ? 'tcp' : 'tls', ...own, ...flags));
    }
    const cluster = new RedisCluster(servers, access);
    const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
    const shape = ['--cluster-replicas', String(replicas), '--cluster-yes'];
    await run('redis-cli', [...access, '--cluster', 'create', ...addresses, ...shape], { timeout: CREATED_WITHIN_MS });
    await cluster.whenWhole();
    return cluster;
  }

  get rootNodes(): readonly { readonly host: string; readonly port: number }[] {
    return this.servers.map(({ port }) => ({ host: '127.0.0.1', port }));
  }

  /** Runs a command on one node; its answer as text. */
  async ask(port: number, ...command: readonly string[]): Promise<string> {
    const { stdout } = await run('redis-cli', [...this.access, '-p', String(port), ...command], { timeout: 5_000 });
    return stdout.trim();
  }

  async nodes(): Promise<readonly ClusterNode[]> {
    for (const { port } of this.servers) {
      const text = await this.ask(port, 'CLUSTER', 'NODES').catch(() => '');
      if (text.includes('myself')) return text.split('\n').map(nodeOf);
    }
    throw new Error('No node of the cluster answers.');
  }

  /** The server that is master of the key's slot. */
  async masterOf(key: string): Promise<RedisServer> {
    const slot = slotOf(key);
    const owner = (await this.nodes()).find(({ ranges }) => ranges.some(([a, b]) => a <= slot && slot <= b));
    return this.serverAt(owner?.port);
  }

  /** Another master than that of the key. */
  async otherMasterThan(key: string): Promise<RedisServer> {
    const { port } = await this.masterOf(key);
    const other = (await this.nodes()).find((node) => node.role === 'master' && !node.isFailing && node.port !== port);
    return this.serverAt(other?.port);
  }

  /** Lets a replica of `master` take over, in agreement with it. */
  async failOver(master: RedisServer): Promise<void> {
    const nodes = await this.nodes();
    const id = nodes.find(({ port }) => port === master.port)?.id;
    const replica = nodes.find(({ masterId, isFailing }) => masterId === id && !isFailing);
    if (replica !== undefined) await this.ask(replica.port, 'CLUSTER', 'FAILOVER').catch(() => '');
  }

  /** Moves some slots with all that is in them, one by one, while clients go on. */
  async move(slots: readonly number[], to: RedisServer): Promise<void> {
    const nodes = await this.nodes();
    const target = nodes.find(({ port }) => port === to.port);
    if (target === undefined) return;
    for (const slot of slots) {
      const source = nodes.find(({ ranges }) => ranges.some(([a, b]) => a <= slot && slot <= b));
      if (source === undefined || source.id === target.id) continue;
      try {
        await this.moveOne(String(slot), source, target);
      } catch (error) {
        // A slot that is left half moved answers nobody in full.
        for (const { port } of [target, source]) await this.ask(port, 'CLUSTER', 'SETSLOT', String(slot), 'STABLE');
        throw error;
      }
    }
  }

  private async moveOne(slot: string, source: ClusterNode, target: ClusterNode): Promise<void> {
    await this.demand(target.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', source.id);
    await this.demand(source.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', target.id);
    for (let round = 0; ; round++) {
      const found = await this.ask(source.port, 'CLUSTER', 'GETKEYSINSLOT', slot, '10');
      const keys = found.split('\n').filter(Boolean);
      if (keys.length === 0) break;
      if (round === MOST_ROUNDS) throw new Error(`Slot ${slot} does not get empty: ${keys.join()} are still there.`);
      const move = ['MIGRATE', '127.0.0.1', String(target.port), '', '0', '2000', 'REPLACE', 'KEYS', ...keys];
      await this.demand(source.port, ...move);
    }
    for (const { port } of [target, source]) await this.demand(port, 'CLUSTER', 'SETSLOT', slot, 'NODE', target.id);
  }

  /** Runs a command that must succeed: redis-cli itself succeeds whatever the node answers. */
  private async demand(port: number, ...command: readonly string[]): Promise<void> {
    const answer = await this.ask(port, ...command);
    if (answer !== 'OK' && answer !== 'NOKEY') throw new Error(`${command.join(' ')}: ${answer}`);
  }

  /** Resolves when every node says that all slots are served, and every master is known to all. */
  async whenWhole(): Promise<void> {
    for (let round = 0; round < 400; round++) {
      const infos = await Promise.all(
        this.servers.map(({ port }) => this.ask(port, 'CLUSTER', 'INFO').catch(() => '')),
      );
      if (infos.every((info) => info.includes('cluster_state:ok'))) return;
      await pause(50);
    }
    throw new Error('The cluster does not come up.');
  }

  async dispose(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.dispose()));
  }

  private serverAt(port: number | undefined): RedisServer {
    const server = this.servers.find((one) => one.port === port);
    if (server === undefined) throw new Error('No server serves that slot.');
    return server;
  }
}

function nodeOf(line: string): ClusterNode {
  const [id = '', address = '', flags = '', masterId = '', , , , , ...slots] = line.trim().split(' ');
  const port = Number(/:(\d+)@/.exec(address)?.[1]);
  const ranges = slots
    .filter((one) => !one.startsWith('['))
    .map((one): readonly [number, number] => {
      const [first, last = first] = one.split('-').map(Number);
      return [first ?? 0, last ?? 0];
    });
  const role = flags.includes('master') ? 'master' : 'replica';
  return { id, port, role, masterId, isFailing: flags.includes('fail'), ranges };
}
