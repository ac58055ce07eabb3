import { slotOf } from '../../lib/redis/client/cluster-router.js';
import { type Data, ModelRedis, type Reply, ReplyError } from './model-redis.js';

const SLOTS = 16_384;

/** Modelled servers that share the slots of a cluster. The first one has the log until its slot moves. */
export class ModelCluster {
  readonly addresses: readonly string[];
  private readonly servers = new Map<string, ModelRedis>();
  private readonly copies = new Map<string, Data>();
  private readonly owners: string[];

  constructor(
    log: ModelRedis,
    now: () => number,
    /** A key of the slot of the log. */
    private readonly logKey: string,
    others = 2,
  ) {
    this.addresses = Array.from({ length: others + 1 }, (_, n) => `node:${n}`);
    for (const address of this.addresses) this.servers.set(address, address === 'node:0' ? log : new ModelRedis(now));
    const share = Math.ceil(SLOTS / this.addresses.length);
    this.owners = Array.from({ length: SLOTS }, (_, slot) => this.addresses[Math.floor(slot / share)] ?? '');
    this.owners[slotOf(logKey)] = 'node:0';
  }

  at(address: string): ModelRedis {
    const server = this.servers.get(address);
    if (server === undefined) throw new Error(`no server at ${address}`);
    return server;
  }

  /** The answer of a node that knows the cluster. Throws MOVED for what another one serves. */
  execute(server: ModelRedis, args: readonly Buffer[]): Reply {
    const [command = '', ...rest] = args.map(String);
    if (command === 'CLUSTER') return this.slots;
    const key = command === 'EVAL' || command === 'EVALSHA' ? rest[2] : keyOf(command, rest);
    const owner = key === undefined ? undefined : this.owners[slotOf(key)];
    if (owner === undefined || this.at(owner) === server) return server.execute(args);
    throw new ReplyError(`MOVED ${slotOf(key ?? '')} ${owner}`);
  }

  /** Gives a part of the slots, and what lies in them, to the next node; never the log's. */
  move(n: number): void {
    const part = SLOTS / 8;
    for (let slot = (n % 8) * part; slot < ((n % 8) + 1) * part; slot++) {
      if (slot === slotOf(this.logKey)) continue;
      const from = this.owners[slot] ?? '';
      const to = this.addresses[(this.addresses.indexOf(from) + 1) % this.addresses.length] ?? '';
      this.owners[slot] = to;
    }
    for (const address of this.addresses) {
      const server = this.at(address);
      for (const name of server.names) {
        const owner = this.owners[slotOf(name)];
        if (owner !== undefined && owner !== address) server.give(name, this.at(owner));
      }
    }
  }

  /** What a replica of a node with entries has, from now on. */
  copy(n: number): void {
    const address = this.other(n);
    this.copies.set(address, this.at(address).copy);
  }

  /** The replica takes over, and lacks what came since its copy. Returns the server. */
  failOver(n: number): ModelRedis {
    const address = this.other(n);
    this.at(address).restart(this.copies.get(address) ?? new Map());
    return this.at(address);
  }

  private other(n: number): string {
    return this.addresses[1 + (n % (this.addresses.length - 1))] ?? '';
  }

  private get slots(): Reply {
    const ranges: Reply[] = [];
    for (let first = 0; first < SLOTS;) {
      const owner = this.owners[first] ?? '';
      let last = first;
      while (this.owners[last + 1] === owner) last++;
      const [host = '', port = ''] = owner.split(':');
      ranges.push([first, last, [Buffer.from(host), Number(port)]]);
      first = last + 1;
    }
    return ranges;
  }
}

function keyOf(command: string, rest: readonly string[]): string | undefined {
  if (command === 'XREAD') return rest[rest.indexOf('STREAMS') + 1];
  return command === 'SCRIPT' || command === 'PING' || command === 'ASKING' ? undefined : rest[0];
}
