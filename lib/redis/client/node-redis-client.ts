import { LaneCacheError } from '../../errors/lane-cache.error.js';
import { answer, ConnectionState, type RedisArgument, type RedisPort } from './redis-client.js';

/** The parts of a node-redis client (package `redis`) that are used. */
interface ForeignNodeRedis {
  readonly isReady: boolean;
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

/** Adapts a node-redis client (`redis` ^5 or ^6). The client may be unconnected; it is used as a template. */
export function fromNodeRedis(client: object): RedisPort {
  if (!isNodeRedis(client)) {
    throw new LaneCacheError('OPTIONS_INVALID', 'fromNodeRedis needs a client made by createClient of `redis`.', {
      field: 'distributed.client',
    });
  }
  return new NodeRedisAdapter(client, 'borrowed');
}

export function isNodeRedis(client: object): client is ForeignNodeRedis {
  return 'sendCommand' in client && 'isReady' in client && 'duplicate' in client && 'destroy' in client;
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
    for (const event of ['end', 'error', 'reconnecting']) client.on(event, () => this.state.become(false));
  }

  get connected(): boolean {
    return this.client.isReady;
  }

  command(
    args: readonly RedisArgument[],
    { timeoutMs = Infinity }: { readonly timeoutMs?: number } = {},
  ): Promise<unknown> {
    const sent = this.client.sendCommand(args.map(toArgument), AS_BYTES);
    return answer(sent, timeoutMs);
  }

  async duplicate(): Promise<RedisPort> {
    const client = this.client.duplicate(FOR_ONE_LIFE);
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

  onStateChange(listener: (connected: boolean) => void): () => void {
    return this.state.listen(listener);
  }

  async close(): Promise<void> {
    if (this.ownership === 'borrowed') return;
    try {
      this.client.destroy();
    } catch {
      // It had ended already.
    }
    this.state.become(false);
  }
}

function toArgument(argument: RedisArgument): string | Buffer {
  if (typeof argument === 'string' || Buffer.isBuffer(argument)) return argument;
  return Buffer.from(argument.buffer, argument.byteOffset, argument.byteLength);
}
