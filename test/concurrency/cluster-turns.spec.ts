import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { type Child, Workshop } from '../support/child-process.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';

/** Prints when it is ready. On `go` it asks for one key many times at once, and prints what it computed and what it got. */
const INSTANCE = `
import { createInterface } from 'node:readline';
import { CacheManager } from './lib/app/cache-app.js';
const [url, prefix, computeMs] = process.argv.slice(2);
const cache = await CacheManager.fromSettings({
  directory: false, distributed: { url, prefix }, lanes: { standard: { l4: { coalesce: 'cluster' } } },
});
const compute = async () => {
  console.log('computing');
  await new Promise((resolve) => setTimeout(resolve, Number(computeMs)));
  return 'value of ' + process.pid;
};
console.log(cache.getMetrics().l4.state);
for await (const line of createInterface({ input: process.stdin })) {
  if (line !== 'go') break;
  const values = await Promise.all(Array.from({ length: 100 }, () => cache.getOrSet('cold', compute)));
  console.log('got ' + [...new Set(values)].join());
}
await cache.close();
process.exit();
`;

/** Lines until the answer, and the answer. */
async function answerOf(child: Child): Promise<{ readonly computed: number; readonly answer: string }> {
  for (let computed = 0; ;) {
    const line = await child.line();
    if (line === 'computing') computed++;
    else return { computed, answer: line };
  }
}

describeWithRedis(
  { describe },
  'instances that compute one at a time',
  () => {
    let server: RedisServer;
    let workshop: Workshop;
    let prefix: string;

    const start = async (count: number, computeMs: number): Promise<readonly Child[]> => {
      const args = [server.url, prefix, `${computeMs}`];
      const children = await Promise.all(Array.from({ length: count }, () => workshop.run(INSTANCE, args)));
      for (const child of children) expect(await child.line()).toBe('on');
      return children;
    };

    beforeAll(async () => {
      server = await RedisServer.start();
      workshop = await Workshop.build();
    }, 60_000);

    beforeEach(() => {
      prefix = randomUUID();
    });

    afterAll(async () => {
      await workshop.dispose();
      await server.dispose();
    });

    it('four of them with a hundred callers each compute a cold key once', async () => {
      const children = await start(4, 300);
      for (const child of children) child.say('go');
      const answers = await Promise.all(children.map(answerOf));
      expect(answers.reduce((sum, { computed }) => sum + computed, 0)).toBe(1);
      expect(new Set(answers.map(({ answer }) => answer)).size).toBe(1);
      for (const child of children) child.say('end');
      await Promise.all(children.map((child) => child.end()));
    }, 60_000);

    it('another one takes over when the one that computes is killed', async () => {
      const [first, ...others] = await start(4, 200);
      if (first === undefined) throw new Error('There is no first one.');
      first.say('go');
      expect(await first.line()).toBe('computing');
      for (const child of others) child.say('go');
      await first.end('SIGKILL');
      const answers = await Promise.all(others.map(answerOf));
      expect(answers.reduce((sum, { computed }) => sum + computed, 0)).toBe(1);
      expect(new Set(answers.map(({ answer }) => answer)).size).toBe(1);
      for (const child of others) child.say('end');
      await Promise.all(others.map((child) => child.end()));
    }, 60_000);
  },
  'own',
);
