import { describe, expect, it } from '@jest/globals';
import { createClient } from 'redis';
import { answer } from '../../../../lib/redis/client/redis-client.js';
import { fromNodeRedis } from '../../../../lib/redis/index.js';
import { describeWithRedis, RedisServer } from '../../../support/redis-server.js';

describe('waiting for an answer', () => {
  it('hands an error on, and gives up when nothing comes', async () => {
    await expect(answer(Promise.reject(new Error('no')), 1_000)).rejects.toThrow('no');
    await expect(answer(new Promise(() => undefined), 1)).rejects.toMatchObject({ name: 'DeadlineError' });
    expect(await answer(Promise.resolve(1), Infinity)).toBe(1);
  });
});

describeWithRedis(
  { describe },
  'waiting for a server',
  () => {
    it('takes an answer that has come while the event loop was held up', async () => {
      const server = await RedisServer.start();
      try {
        const port = await fromNodeRedis(createClient({ url: server.url })).duplicate();
        const pong = port.command(['PING'], { timeoutMs: 60 });
        // sent by then; when this is over the answer lies in the socket, and the deadline has passed
        setImmediate(() => {
          const until = performance.now() + 200;
          while (performance.now() < until);
        });
        expect(String(await pong)).toBe('PONG');
        await port.close();
      } finally {
        await server.dispose();
      }
    });
  },
  'own',
);
