import { LaneCacheError } from '../../errors/lane-cache.error.js';
import {
  type AddressMap,
  answer,
  ConnectionState,
  reachable,
  type RedisArgument,
  type RedisClusterPort,
  type RedisPort,
  textOrBuffer,
} from './redis-client.js';

/** The parts of an `ioredis` client that are used. */
interface ForeignIoredis {
  readonly status: string;
  readonly stream?: { unref(): unknown };
  callBuffer(command: string, args: (string | Buffer)[]): Promise<unknown>;
  duplicate(overrides?: object): ForeignIoredis;
  connect(): Promise<unknown>;
  disconnect(): void;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
}

/**
 * A lost connection is not reused: the library opens another, and starts it with a handshake. It has deadlines of its own, and
 * waits for news. Auto-pipelining throws outside of any call for commands that are given by name.
 */
const FOR_ONE_LIFE = Object.freeze({
  enableAutoPipelining: false,
  commandTimeout: undefined,
  socketTimeout: undefined,
  lazyConnect: true,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  retryStrategy: () => null,
  sentinelRetryStrategy: () => null,
  autoResendUnfulfilledCommands: false,
});

/**
 * Adapts a client of `ioredis` (^5 or ^6). The client may be unconnected; it is used as a template.
 *
 * @example
 * ```ts
 * LaneCacheModule.forRoot({ distributed: { client: fromIoredis(new Redis('redis://cache:6379')) } });
 * ```
 */
export function fromIoredis(client: object): RedisPort {
  if (!isIoredis(client)) {
    throw new LaneCacheError('OPTIONS_INVALID', 'fromIoredis needs an instance of Redis of `ioredis`.', {
      field: 'distributed.client',
    });
  }
  return new IoredisAdapter(client, 'borrowed');
}

export function isIoredis(client: object): client is ForeignIoredis {
  return 'callBuffer' in client && 'status' in client && 'duplicate' in client && !isIoredisCluster(client);
}

/** The parts of a `Cluster` of `ioredis` that are used. */
interface ForeignIoredisCluster {
  readonly options: { readonly natMap?: AddressMap; readonly keyPrefix?: string };
  duplicate(startupNodes: readonly [], overrides: object): ForeignIoredisCluster;
  connect(): Promise<unknown>;
  disconnect(): void;
  nodes(role: 'master'): readonly (ForeignIoredis & {
    readonly options: { readonly host?: string; readonly port?: number };
  })[];
  on(event: string, listener: (...args: unknown[]) => void): unknown;
}

export function isIoredisCluster(client: object): client is ForeignIoredisCluster {
  return 'isCluster' in client && client.isCluster === true && 'nodes' in client && 'duplicate' in client;
}

/** A cluster that is asked for its nodes once. */
const FOR_ONE_QUESTION = Object.freeze({
  lazyConnect: true,
  enableOfflineQueue: false,
  clusterRetryStrategy: () => null,
});

/** Opens connections as a `Cluster` of `ioredis` does. It may be unconnected; it is used as a template. */
export class IoredisCluster implements RedisClusterPort {
  private node: ForeignIoredis | undefined;

  /** Throws OPTIONS_INVALID for a cluster that puts something before each key: the slots would be other ones. */
  constructor(private readonly cluster: ForeignIoredisCluster) {
    if ((cluster.options.keyPrefix ?? '') === '') return;
    throw new LaneCacheError(
      'OPTIONS_INVALID',
      'distributed.client must be a Cluster without keyPrefix. Use distributed.prefix to keep apps apart.',
      { field: 'distributed.client' },
    );
  }

  async seed(): Promise<string> {
    const own = this.cluster.duplicate([], FOR_ONE_QUESTION);
    own.on('error', () => undefined);
    try {
      await own.connect();
      const [node] = own.nodes('master');
      if (node === undefined) throw new Error('the cluster has no master');
      this.node = node;
      return `${node.options.host}:${node.options.port}`;
    } finally {
      own.disconnect();
    }
  }

  async open(address: string): Promise<RedisPort> {
    if (this.node === undefined) await this.seed();
    if (this.node === undefined) throw new Error('the cluster has no master');
    return connected(this.node.duplicate({ ...FOR_ONE_LIFE, ...reachable(this.cluster.options.natMap, address) }));
  }
}

async function connected(client: ForeignIoredis): Promise<RedisPort> {
  const port = new IoredisAdapter(client, 'owned');
  // `connect` rejects with 'Connection is closed.', whatever the cause is.
  const causes: unknown[] = [];
  client.on('error', (cause) => causes.push(cause));
  try {
    await client.connect();
    client.stream?.unref();
  } catch (error) {
    await port.close();
    throw causes[0] ?? error;
  }
  return port;
}

class IoredisAdapter implements RedisPort {
  private readonly state: ConnectionState;
  private isClosed = false;

  constructor(
    private readonly client: ForeignIoredis,
    private readonly ownership: 'borrowed' | 'owned',
  ) {
    this.state = new ConnectionState(client.status === 'ready');
    if (ownership === 'borrowed') return;
    client.on('ready', () => this.state.become(true));
    for (const event of ['close', 'end']) client.on(event, () => this.state.become(false));
    client.on('error', () => undefined);
  }

  get connected(): boolean {
    return this.client.status === 'ready' && !this.isClosed;
  }

  command(
    args: readonly RedisArgument[],
    { timeoutMs = Infinity }: { readonly timeoutMs?: number } = {},
  ): Promise<unknown> {
    const [command = '', ...rest] = args;
    const sent = this.client.callBuffer(textOf(command), rest.map(textOrBuffer));
    return answer(sent, timeoutMs);
  }

  async duplicate(): Promise<RedisPort> {
    return connected(this.client.duplicate(FOR_ONE_LIFE));
  }

  onStateChange(listener: (connected: boolean) => void): () => void {
    return this.state.listen(listener);
  }

  async close(): Promise<void> {
    if (this.ownership === 'borrowed') return;
    this.isClosed = true;
    if (this.client.status !== 'end') this.client.disconnect();
    this.state.become(false);
  }
}

const textOf = (argument: RedisArgument): string =>
  typeof argument === 'string' ? argument : Buffer.from(argument).toString();
