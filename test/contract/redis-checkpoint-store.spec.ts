import { afterAll, beforeAll, describe } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { createClient } from 'redis';
import { systemClock, KeepAlive } from '../../lib/clock/clock.js';
import { CheckpointConnection, RedisCheckpointStore } from '../../lib/redis/checkpoints/redis-checkpoint-store.js';
import { KeySpace } from '../../lib/redis/keys.js';
import { templateClient } from '../../lib/redis/client/connect.js';
import { HeardEvents } from '../support/checkpoints.js';
import { anyServer, describeWithRedis } from '../support/redis-server.js';
import { checkpointStoreContract } from './checkpoint-store.contract.js';

describeWithRedis({ describe }, 'checkpoints that instances share', () => {
  let server: Awaited<ReturnType<typeof anyServer>>;

  beforeAll(async () => {
    server = await anyServer();
  });

  afterAll(() => server.dispose());

  checkpointStoreContract('over Redis', async () => {
    const hold = new KeepAlive();
    const root = new KeySpace(randomUUID()).checkpoints;
    // a busy machine may take longer to connect than an app waits
    const socket = { connectTimeout: 60_000, reconnectStrategy: false } as const;
    const client = createClient({ url: server.url, socket, disableOfflineQueue: true });
    const line = new CheckpointConnection(await templateClient({ client }), root, systemClock, hold);
    return { store: new RedisCheckpointStore(line, new HeardEvents()), dispose: async () => hold.end() };
  });
});
