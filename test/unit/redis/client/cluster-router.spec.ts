import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { DeadlineError, KeepAlive, nextTurn } from '../../../../lib/clock/clock.js';
import { ClusterRouter, slotOf } from '../../../../lib/redis/client/cluster-router.js';
import { ConnectionState, type RedisArgument, type RedisPort } from '../../../../lib/redis/client/redis-client.js';
import { FakeClock } from '../../../../lib/testing/fake-clock.js';
import { Deferred } from '../../../support/deferred.js';

type Answer = (args: readonly RedisArgument[]) => unknown;

/** Two nodes that answer as a test says, and what each was asked. */
class FakeCluster {
  readonly asked: string[] = [];
  readonly answers = new Map<string, Answer>();
  readonly unreachable = new Set<string>();
  /** Connections to them are lost as soon as they are opened. */
  readonly dying = new Set<string>();
  readonly opened: string[] = [];
  readonly closed: string[] = [];
  /** Ends the latest connection to a node. */
  readonly cut = new Map<string, () => void>();
  /** Opened only when the promise resolves. */
  readonly slow = new Map<string, Promise<void>>();

  seed(): Promise<string> {
    return Promise.resolve('a:1');
  }

  async open(address: string): Promise<RedisPort> {
    this.opened.push(address);
    if (this.unreachable.has(address)) throw new Error('refused');
    await this.slow.get(address);
    const state = new ConnectionState(true);
    this.cut.set(address, () => state.become(false));
    return {
      command: async (args) => {
        if (args[0] === 'CLUSTER') return [[0, 16_383, [Buffer.from('a'), 1]]];
        this.asked.push(`${address} ${args.join(' ')}`);
        return this.answers.get(address)?.(args) ?? `of ${address}`;
      },
      duplicate: () => Promise.reject(new Error('no template')),
      connected: !this.dying.has(address),
      onStateChange: (listener) => state.listen(listener),
      close: async () => void this.closed.push(address),
    };
  }
}

const redirects = (text: string): Answer => {
  return () => {
    throw new Error(text);
  };
};

describe('a router of a cluster', () => {
  let cluster: FakeCluster;
  let router: ClusterRouter;
  const clock = new FakeClock();
  const hold = new KeepAlive(clock);

  beforeEach(async () => {
    cluster = new FakeCluster();
    router = new ClusterRouter(cluster, clock, { timeoutMs: 250, hold, changed: () => undefined });
    await router.templateOf('k').duplicate();
  });

  afterEach(() => router.close());

  /** As soon as the connection to a node that was just named is there. */
  const ask = async (key: string): Promise<unknown> => {
    await router.command(key, ['GET', key]).catch(() => undefined);
    await nextTurn();
    cluster.asked.length = 0;
    return router.command(key, ['GET', key]);
  };

  it('knows the slots of keys, and of what stands in braces', () => {
    // From the specification of Redis Cluster: CRC16 of 123456789 is 0x31C3.
    expect(slotOf('123456789')).toBe(0x31_c3);
    expect(slotOf('{user1000}.following')).toBe(slotOf('user1000'));
    expect(slotOf('foo{}{bar}')).not.toBe(slotOf('bar'));
    expect(slotOf('foo{{bar}}zap')).toBe(slotOf('{bar'));
  });

  it.each([
    ['is large: the node counts as silent only after the time that its bytes take', 8 * 1024 ** 2, 0],
    ['is small: the node counts as silent', 100, 1],
  ])('asks over another connection how large an entry is that comes late, and it %s', async (_what, length, times) => {
    const errors: (Error | undefined)[] = [];
    const changed = (error: Error | undefined): void => void errors.push(error);
    const late = new ClusterRouter(cluster, clock, { timeoutMs: 250, hold, changed });
    await late.templateOf('k').duplicate();
    cluster.answers.set('a:1', ([command]) => {
      if (command === 'GET') throw new DeadlineError('Redis', 250);
      return command === 'STRLEN' ? length : new Promise(() => undefined);
    });
    await expect(late.read('k')).rejects.toThrow(DeadlineError);
    await nextTurn();
    expect(cluster.asked).toEqual(['a:1 GET k', 'a:1 STRLEN k', 'a:1 PING']);
    expect(errors).toHaveLength(times);
    await late.close();
  });

  it('sends what was moved to the new node, from then on at once', async () => {
    cluster.answers.set('a:1', redirects('MOVED 1 b:2'));
    expect(await ask('k')).toBe('of b:2');
    expect(cluster.asked).toEqual(['b:2 GET k']);
  });

  it('asks the other node for one command only while a slot is on its way', async () => {
    cluster.answers.set('a:1', redirects('ASK 1 b:2'));
    expect(await ask('k')).toBe('of b:2');
    expect(cluster.asked).toEqual(['a:1 GET k', 'b:2 ASKING', 'b:2 GET k']);
    cluster.answers.delete('a:1');
    expect(await router.command('k', ['GET', 'k'])).toBe('of a:1');
  });

  it('gives up where nodes send it round in circles', async () => {
    cluster.answers.set('a:1', redirects('MOVED 1 b:2'));
    cluster.answers.set('b:2', redirects('MOVED 1 a:1'));
    await expect(ask('k')).rejects.toThrow('MOVED');
    expect(cluster.asked.length).toBeLessThan(10);
  });

  it('passes on every other error', async () => {
    cluster.answers.set('a:1', redirects('OOM command not allowed'));
    await expect(router.command('k', ['GET', 'k'])).rejects.toThrow('OOM');
  });

  it('rejects at once where a node cannot be reached', async () => {
    cluster.unreachable.add('b:2');
    cluster.answers.set('a:1', redirects('ASK 1 b:2'));
    await expect(router.command('k', ['GET', 'k'])).rejects.toThrow('not connected');
  });

  it('closes a connection that has failed, and opens another', async () => {
    cluster.answers.set('a:1', redirects('MOVED 1 b:2'));
    expect(await ask('k')).toBe('of b:2');
    cluster.cut.get('b:2')?.();
    expect(cluster.closed).toContain('b:2');
    await expect(router.command('k', ['GET', 'k'])).rejects.toThrow('not connected');
    await clock.advance('1s');
    expect(await ask('k')).toBe('of b:2');
  });

  it('opens a connection once, however many ask for it, and whatever the cluster says of its nodes meanwhile', async () => {
    const slow = new Deferred<void>();
    cluster.slow.set('b:2', slow.promise);
    cluster.answers.set('a:1', redirects('MOVED 1 b:2'));
    for (let asked = 0; asked < 3; asked++) {
      await expect(router.command('k', ['GET', 'k'])).rejects.toThrow('not connected');
      await clock.advance('300ms');
    }
    expect(cluster.opened.filter((address) => address === 'b:2')).toHaveLength(1);
    slow.resolve();
  });

  it('leaves a node alone for 250 ms after it could not be reached', async () => {
    cluster.unreachable.add('b:2');
    cluster.answers.set('a:1', redirects('ASK 1 b:2'));
    const attempts = async (): Promise<number> => {
      await expect(router.command('k', ['GET', 'k'])).rejects.toThrow('not connected');
      await nextTurn();
      return cluster.opened.filter((address) => address === 'b:2').length;
    };
    expect([await attempts(), await attempts()]).toEqual([1, 1]);
    await clock.advance('249ms');
    expect(await attempts()).toBe(1);
    await clock.advance('1ms');
    expect(await attempts()).toBe(2);
  });

  it('closes a connection that was lost before it was used, and opens another', async () => {
    cluster.dying.add('b:2');
    cluster.answers.set('a:1', redirects('ASK 1 b:2'));
    await expect(ask('k')).rejects.toThrow('not connected');
    expect(cluster.closed).toContain('b:2');
    cluster.dying.clear();
    await clock.advance('1s');
    expect(await ask('k')).toBe('of b:2');
  });

  it('closes a connection that is opened after it was closed itself', async () => {
    const slow = new Deferred<void>();
    cluster.slow.set('b:2', slow.promise);
    cluster.answers.set('a:1', redirects('MOVED 1 b:2'));
    await expect(router.command('k', ['GET', 'k'])).rejects.toThrow('not connected');
    await router.close();
    slow.resolve();
    await nextTurn();
    expect(cluster.closed).toContain('b:2');
  });

  it('closes a connection that is opened too late', async () => {
    const slow = new Deferred<void>();
    cluster.slow.set('b:2', slow.promise);
    cluster.answers.set('a:1', redirects('MOVED 1 b:2'));
    await expect(router.command('k', ['GET', 'k'])).rejects.toThrow('not connected');
    await clock.advance('3s');
    expect(cluster.closed).not.toContain('b:2');
    slow.resolve();
    await nextTurn();
    expect(cluster.closed).toContain('b:2');
  });
});
