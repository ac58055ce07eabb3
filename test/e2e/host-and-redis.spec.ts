import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { CacheManager } from '../../lib/index.js';
import { Caches } from '../support/caches.js';
import { until } from '../support/gate.js';
import { describeWithRedis, RedisServer } from '../support/redis-server.js';
import { TcpProxy } from '../support/tcp-proxy.js';

describeWithRedis({ describe }, 'processes of one directory that also share a server', () => {
  const caches = new Caches();
  let server: RedisServer;
  let proxy: TcpProxy;
  let prefix: string;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  beforeEach(async () => {
    prefix = randomUUID();
    proxy = await TcpProxy.before(Number(new URL(server.url).port));
  });
  afterEach(async () => {
    await caches.close();
    await proxy.close();
  });
  afterAll(() => server.dispose());

  /** The first is the owner of the directory, and reaches the server through the proxy. */
  const pair = async (): Promise<readonly [CacheManager, CacheManager]> => {
    const directory = await caches.directory();
    // Without L3, in which they find what the server does not have.
    const lanes = { standard: { l3: { enabled: false } } } as const;
    const open = (url: string): Promise<CacheManager> =>
      caches.open({ directory, lanes, distributed: { url, prefix, commandTimeout: '2s' } });
    return [await open(proxy.url), await open(server.url)];
  };

  it('serve nothing from the server that one of them had invalidated while it could not reach the server', async () => {
    const [owner, other] = await pair();
    await other.getOrSet('k', () => 'old', { tags: ['t'] });
    await other.getOrSet('l', () => 'old', { tags: ['t'] });
    await other.flush();
    proxy.weather = 'black-hole';
    proxy.cut();
    await until(() => owner.getMetrics().l4.state === 'off');
    await owner.invalidate('k');
    expect(await other.getOrSet('k', () => 'new')).toBe('new');
    await owner.invalidateByTag('t');
    expect(await other.getOrSet('l', () => 'new')).toBe('new');
    proxy.weather = 'fair';
    proxy.cut();
    await until(() => owner.getMetrics().l4.state === 'on');
    await owner.flush();
  });

  it('follow each record once, whichever log has it first', async () => {
    const [owner, other] = await pair();
    const elsewhere = await caches.open({ distributed: { url: server.url, prefix } });
    const heard: string[] = [];
    for (const cache of [owner, other]) {
      cache.events.on('invalidate', ({ subject, origin }) => origin === 'remote' && heard.push(subject));
    }
    for (let n = 0; n < 20; n++) await (n % 2 === 0 ? owner : other).invalidate(`k${n}`);
    // Comes by the server alone, after the others.
    await elsewhere.invalidate('last');
    await until(() => heard.filter((subject) => subject === 'last').length === 2);
    expect(heard.filter((subject) => subject !== 'last').toSorted()).toEqual(
      Array.from({ length: 20 }, (_, n) => `k${n}`).toSorted(),
    );
  });

  it('publish what one of them had invalidated in vain before it closed', async () => {
    const directory = await caches.directory();
    const open = (url: string): Promise<CacheManager> =>
      caches.open({ directory, distributed: { url, prefix, commandTimeout: '100ms' } });
    const closing = await open(proxy.url);
    proxy.weather = 'black-hole';
    const invalidated = closing.invalidateByTag('t');
    await Promise.all([closing.close(), invalidated]);
    const elsewhere = await caches.open({ distributed: { url: server.url, prefix } });
    const heard = elsewhere.events.once('invalidate');
    await open(server.url);
    expect(await heard).toMatchObject({ subject: 't', origin: 'remote' });
  });

  it('find on the server again what was computed since', async () => {
    const [owner, other] = await pair();
    await owner.invalidate('k');
    await other.getOrSet('k', () => 'computed');
    await other.flush();
    expect(await owner.getOrSet('k', () => 'again')).toBe('computed');
    expect(owner.getMetrics().l4.hits).toBe(1);
  });
});
