import { describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { createClient } from 'redis';
import { answer } from '../../../../lib/redis/client/redis-client.js';
import { fromNodeRedis } from '../../../../lib/redis/index.js';
import { describeWithRedis, RedisServer } from '../../../support/redis-server.js';

/** Looks without a turn of the event loop. */
const hasAnsweredPing = (port: number): boolean => {
  const info = execFileSync('redis-cli', ['-p', String(port), 'INFO', 'commandstats'], { encoding: 'utf8' });
  return info.includes('cmdstat_ping:');
};

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
        // when this is over the answer lies in the socket, and the deadline has passed
        setImmediate(() => {
          const heldAt = performance.now();
          const isHeldFor = (ms: number): boolean => performance.now() - heldAt < ms;
          while (isHeldFor(100) || (isHeldFor(10_000) && !hasAnsweredPing(server.port)));
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
