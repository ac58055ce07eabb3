import { LaneCacheError } from '../../errors/lane-cache.error.js';
import {
  type AddressMap,
  answer,
  ConnectionState,
  reachable,
  type RedisArgument,
  type RedisClusterPort,
  type RedisPort,
  type RedisTemplate,
  textOrBuffer,
} from './redis-client.js';

/** The parts of a node-redis client (package `redis`) that are used. */
interface ForeignNodeRedis {
  readonly isReady: boolean;
  readonly options?: { readonly socket?: object };
  sendCommand(args: readonly (string | Buffer)[], options?: object): Promise<unknown>;
  duplicate(overrides?: object): ForeignNodeRedis;
  connect(): Promise<unknown>;
  destroy(): void;
  unref(): void;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
}

/** Bulk strings as bytes; 36 is `$`, their mark in the protocol. */
const AS_BYTES = Object.freeze({ typeMapping: Object.freeze({ 36: Buffer }) });
/** A lost connection is not reused: the library opens another, and starts it with a handshake. */
const FOR_ONE_LIFE = Object.freeze({ disableOfflineQueue: true, commandOptions: { timeout: undefined } });

/**
 * Adapts a node-redis client (`redis` ^5 or ^6). The client may be unconnected; it is used as a template.
 *
 * @example
 * ```ts
 * LaneCacheModule.forRoot({ distributed: { client: fromNodeRedis(createClient({ url: 'redis://cache:6379' })) } });
 * ```
 */
export function fromNodeRedis(client: object): RedisPort {
  if (!isNodeRedis(client)) {
    throw new LaneCacheError('OPTIONS_INVALID', 'fromNodeRedis needs a client made by createClient of `redis`.', {
      field: 'distributed.client',
    });
  }
  return new NodeRedisAdapter(client, 'borrowed');
}

export function isNodeRedis(client: object): client is ForeignNodeRedis {
  const isClient = 'sendCommand' in client && 'isReady' in client && 'duplicate' in client && 'destroy' in client;
  return isClient && !isNodeRedisCluster(client) && !isNodeRedisSentinel(client);
}

/** The parts of a cluster of node-redis that are used. */
interface ForeignNodeRedisCluster {
  readonly masters: readonly { readonly host: string; readonly port: number }[];
  readonly _options?: { readonly nodeAddressMap?: AddressMap };
  nodeClient(node: object): Promise<ForeignNodeRedis> | ForeignNodeRedis;
  duplicate(overrides: object): ForeignNodeRedisCluster;
  connect(): Promise<unknown>;
  destroy(): void;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
}

export function isNodeRedisCluster(client: object): client is ForeignNodeRedisCluster {
  return 'nodeClient' in client && 'masters' in client && 'duplicate' in client;
}

/** Opens connections as a cluster of node-redis does. It may be unconnected; it is used as a template. */
export class NodeRedisCluster implements RedisClusterPort {
  private node: ForeignNodeRedis | undefined;

  constructor(private readonly cluster: ForeignNodeRedisCluster) {}

  async seed(): Promise<string> {
    const own = this.cluster.duplicate({ minimizeConnections: true });
    own.on('error', () => undefined);
    try {
      await own.connect();
      const [master] = own.masters;
      if (master === undefined) throw new Error('the cluster has no master');
      this.node = await own.nodeClient(master);
      return `${master.host}:${master.port}`;
    } finally {
      own.destroy();
    }
  }

  async open(address: string): Promise<RedisPort> {
    if (this.node === undefined) await this.seed();
    const { node } = this;
    if (node === undefined) throw new Error('the cluster has no master');
    // eslint-disable-next-line no-underscore-dangle
    const map = this.cluster._options?.nodeAddressMap;
    const own = { socketTimeout: undefined, reconnectStrategy: false };
    const socket = { ...node.options?.socket, ...reachable(map, address), ...own };
    return connected(node.duplicate({ ...FOR_ONE_LIFE, socket }));
  }
}

/** The parts of a client of node-redis for Sentinel that are used. */
interface ForeignNodeRedisSentinel {
  duplicate(overrides: object): ForeignNodeRedisSentinel;
  connect(): Promise<unknown>;
  destroy(): Promise<unknown>;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  /** Runs with the client of the master. */
  _execute<T>(isReadonly: boolean, run: (master: ForeignNodeRedis) => Promise<T>): Promise<T>;
}

export function isNodeRedisSentinel(client: object): client is ForeignNodeRedisSentinel {
  return 'getSentinelNode' in client && 'getMasterNode' in client && 'duplicate' in client;
}

/** How long finding the master may take. */
const FIND_WITHIN_MS = 2_000;

/** Opens connections to the master that Sentinel names at that moment. The client may be unconnected; it is used as a template. */
export class NodeRedisSentinel implements RedisTemplate {
  constructor(private readonly sentinel: ForeignNodeRedisSentinel) {}

  async duplicate(): Promise<RedisPort> {
    const own = this.sentinel.duplicate({ masterPoolSize: 1, replicaPoolSize: 0, reserveClient: false });
    own.on('error', () => undefined);
    const openTo = (master: ForeignNodeRedis): Promise<RedisPort> =>
      connected(
        master.duplicate({
          ...FOR_ONE_LIFE,
          socket: { ...master.options?.socket, socketTimeout: undefined, reconnectStrategy: false },
        }),
      );
    try {
      // It retries for as long as it exists.
      await answer(own.connect(), FIND_WITHIN_MS);
      // eslint-disable-next-line no-underscore-dangle
      return await own._execute(false, openTo);
    } finally {
      await own.destroy().catch(() => undefined);
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

async function connected(client: ForeignNodeRedis): Promise<RedisPort> {
  const port = new NodeRedisAdapter(client, 'owned');
  // node-redis must not retry a first connection by itself.
  const failed = new Promise<never>((_, reject) => client.on('error', reject));
  failed.catch(() => undefined);
  try {
    await Promise.race([client.connect(), failed]);
    client.unref();
  } catch (error) {
    await port.close();
    throw error;
  }
  return port;
}

class NodeRedisAdapter implements RedisPort {
  private readonly state: ConnectionState;

  constructor(
    private readonly client: ForeignNodeRedis,
    private readonly ownership: 'borrowed' | 'owned',
  ) {
    this.state = new ConnectionState(client.isReady);
    if (ownership === 'borrowed') return;
    client.on('ready', () => this.state.become(true));
    for (const event of ['end', 'reconnecting']) client.on(event, () => this.state.become(false));
    // After an answer that is none, node-redis is ready still: it would give each command the answer of the one behind it.
    client.on('error', () => (client.isReady ? this.end() : this.state.become(false)));
  }

  get connected(): boolean {
    return this.client.isReady;
  }

  command(
    args: readonly RedisArgument[],
    { timeoutMs = Infinity }: { readonly timeoutMs?: number } = {},
  ): Promise<unknown> {
    const sent = this.client.sendCommand(args.map(textOrBuffer), AS_BYTES);
    return answer(sent, timeoutMs);
  }

  async duplicate(): Promise<RedisPort> {
    const socket = { ...this.client.options?.socket, socketTimeout: undefined };
    return connected(this.client.duplicate({ ...FOR_ONE_LIFE, socket }));
  }

  onStateChange(listener: (connected: boolean) => void): () => void {
    return this.state.listen(listener);
  }

  async close(): Promise<void> {
    if (this.ownership === 'owned') this.end();
  }

  /** Rejects all commands that wait for an answer. */
  private end(): void {
    try {
      this.client.destroy();
    } catch {
      // It had ended already.
    }
    this.state.become(false);
  }
}
