import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { CACHE_MANAGER } from '@nestjs/cache-manager';
import { Test, type TestingModule } from '@nestjs/testing';
import type { Cache } from 'cache-manager';
import {
  CacheManager,
  CheckpointService,
  LaneCacheModule,
  type CheckpointInfo,
  type LaneCacheModuleOptions,
} from '../../lib/index.js';
import { LaneCacheTestingModule, type LaneCacheTestingOptions } from '../../lib/testing/index.js';
import { Caches } from '../support/caches.js';

/** As JavaScript callers give it, without a compiler to stop them. */
const wrong = (value: unknown): never => value as never;

const caches = new Caches();
const modules: TestingModule[] = [];
afterEach(async () => {
  await Promise.all(modules.splice(0).map((module) => module.close()));
  await caches.close();
});

async function testing(options: LaneCacheTestingOptions = {}): Promise<TestingModule> {
  const module = await Test.createTestingModule({ imports: [LaneCacheTestingModule.forRoot(options)] }).compile();
  modules.push(module);
  return module;
}

/** Checkpoints of two workflows, two versions each. */
async function checkpoints(): Promise<CheckpointService> {
  const service = (await testing()).get(CheckpointService);
  for (const id of ['a', 'b']) {
    for (const step of [1, 2])
      await service.cacheCheckpoint(id, { step }, { workflow: `of-${id}`, lane: 'heavy', step });
  }
  return service;
}

async function all(service: CheckpointService): Promise<readonly CheckpointInfo[]> {
  const found: CheckpointInfo[] = [];
  for await (const info of service.iterate()) found.push(info);
  return found;
}

describe('a cleanup', () => {
  it.each<[string, object, string]>([
    ['keepLatest', { maxAgeDays: 0, keepLatest: 3 }, 'keepLast'],
    ['keep_last', { maxAgeDays: 0, keep_last: 3 }, 'keepLast'],
    ['dryrun', { maxAgeDays: 0, dryrun: true }, 'dryRun'],
    ['dry', { maxAgeDays: 0, dry: true }, 'dryRun'],
    ['workflows', { maxAgeDays: 0, workflows: 'other' }, 'workflow'],
    ['workflowId', { maxAgeDays: 0, workflowId: 'other' }, 'workflow'],
    ['lanes', { maxAgeDays: 0, lanes: ['docs'] }, 'lane'],
    ['maxAge', { maxAge: 30 }, 'maxAgeDays'],
    ['an inherited keepLatest', Object.create({ maxAgeDays: 0, keepLatest: 3 }), 'keepLast'],
  ])('with %s removes nothing and names the option that is meant', async (_, options, meant) => {
    const service = await checkpoints();
    await expect(service.cleanupOldCheckpoints(wrong(options))).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringContaining(`Did you mean '${meant}'?`),
    });
    expect(await all(service)).toHaveLength(4);
  });

  it.each<[string, object]>([
    ["dryRun: 'true'", { maxAgeDays: 0, dryRun: 'true' }],
    ['dryRun: 1', { maxAgeDays: 0, dryRun: 1 }],
    ['dryRun: null', { maxAgeDays: 0, dryRun: null }],
    ['workflow: 5', { maxAgeDays: 0, workflow: 5 }],
    ["workflow: ''", { maxAgeDays: 0, workflow: '' }],
    ['lane: a list', { maxAgeDays: 0, lane: ['docs'] }],
  ])('with %s removes nothing', async (_, options) => {
    const service = await checkpoints();
    await expect(service.cleanupOldCheckpoints(wrong(options))).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
    expect(await all(service)).toHaveLength(4);
  });

  it('of a lane that nobody knows removes nothing and names the lanes', async () => {
    const service = await checkpoints();
    await expect(service.cleanupOldCheckpoints({ maxAgeDays: 0, lane: 'hevy' })).rejects.toMatchObject({
      code: 'LANE_UNKNOWN',
      message: expect.stringContaining('docs, standard, heavy'),
    });
    expect(await all(service)).toHaveLength(4);
  });
});

describe('a save', () => {
  it.each([
    ['expectVersion', 'expectedVersion'],
    ['expectedversion', 'expectedVersion'],
    ['ifVersion', 'expectedVersion'],
    ['version', 'expectedVersion'],
    ['workflows', 'workflow'],
    ['ttlMs', 'ttl'],
  ])('with %s saves nothing and names %s', async (name, meant) => {
    const service = await checkpoints();
    await expect(service.cacheCheckpoint('a', { step: 3 }, wrong({ [name]: 1 }))).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringContaining(`Did you mean '${meant}'?`),
    });
    expect(await service.restoreCheckpoint('a')).toEqual({ step: 2 });
  });
});

describe('a filter of checkpoints', () => {
  const lists: readonly [string, (service: CheckpointService, filter: object) => Promise<unknown>][] = [
    ['list', (service, filter) => service.list(wrong(filter))],
    ['iterate', (service, filter) => service.iterate(wrong(filter)).next()],
  ];

  it.each(lists)('of %s is refused where it names what is no filter', async (_, list) => {
    const service = await checkpoints();
    await expect(list(service, { owner: 'me' })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
    await expect(list(service, { workflows: 'of-a' })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
    await expect(list(service, { workflow: 5 })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
  });

  it.each(lists)('of %s is refused where it names a lane that nobody knows', async (_, list) => {
    const service = await checkpoints();
    await expect(list(service, { lane: 'hevy' })).rejects.toMatchObject({ code: 'LANE_UNKNOWN' });
  });

  it.each(lists)('of %s takes a lane of the app that holds nothing', async (_, list) => {
    const service = await checkpoints();
    await expect(list(service, { lane: 'docs' })).resolves.toBeDefined();
  });

  it('does not take the limit of a page where all is given', async () => {
    const service = await checkpoints();
    await expect(service.iterate(wrong({ limit: 1 })).next()).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
  });
});

describe('what a removed lane left', () => {
  const lanes = { gone: { extends: 'heavy' } } as const;

  async function leftBehind(): Promise<string> {
    const directory = await caches.directory();
    const before = await CacheManager.fromSettings({ directory, lanes });
    await before.snapshots.cacheCheckpoint('a', 1, 'gone');
    await before.close();
    return directory;
  }

  it('can be listed and removed', async () => {
    const { snapshots } = await caches.open({ directory: await leftBehind() });
    expect((await snapshots.list({ lane: 'gone' })).items).toHaveLength(1);
    expect(await snapshots.cleanupOldCheckpoints({ lane: 'gone', maxAgeDays: 0 })).toMatchObject({ dryRun: false });
    await expect(snapshots.list({ lane: 'goner' })).rejects.toMatchObject({ code: 'LANE_UNKNOWN' });
  });

  it('can be named by the retention', async () => {
    const directory = await leftBehind();
    const checkpoints = { retention: { maxAgeDays: { gone: 30 } } };
    await expect(caches.open({ directory, checkpoints })).resolves.toBeDefined();
  });
});

describe('a retention', () => {
  it.each([
    ['on disk', true],
    ['in memory', false],
  ])('that names a lane that nobody knows does not boot %s', async (_, onDisk) => {
    const directory = onDisk ? await caches.directory() : false;
    const opening = caches.open({ directory, checkpoints: { retention: { maxAgeDays: { hevy: false } } } });
    await expect(opening).rejects.toMatchObject({
      code: 'LANE_UNKNOWN',
      field: 'checkpoints.retention.maxAgeDays.hevy',
      message: expect.stringContaining('docs, standard, heavy'),
    });
  });

  it('may name the lanes of the app', async () => {
    const lanes = { ml: { extends: 'heavy' } } as const;
    const checkpoints = { retention: { maxAgeDays: { ml: false, docs: 1 } } } as const;
    await expect(caches.open({ lanes, checkpoints })).resolves.toBeDefined();
  });
});

describe('clearAll', () => {
  it.each<[string, object, RegExp]>([
    ['lane', { lane: 'docs' }, /forLane/],
    ['all', { all: true }, /lanes/],
    ['lanes of a list', { lanes: ['docs'] }, /'all'/],
  ])('with %s clears nothing', async (_, options, words) => {
    const cache = await caches.open();
    await cache.set('kept', 1);
    await expect(cache.clearAll(wrong(options))).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      message: expect.stringMatching(words),
    });
    expect(await cache.get('kept')).toBe(1);
  });
});

describe('a call of the cache', () => {
  it.each<[string, string, (cache: CacheManager, options: never) => unknown]>([
    ['getOrSet', 'ttl', (cache, options) => cache.getOrSet('kept', () => 2, options)],
    ['getOrSet of a key that memory lacks', 'ttl', (cache, options) => cache.getOrSet('new', () => 2, options)],
    ['get', 'version', (cache, options) => cache.get('kept', options)],
    ['getMany', 'version', (cache, options) => cache.getMany(['kept'], options)],
    ['set', 'ttl', (cache, options) => cache.set('new', 2, options)],
  ])('%s rejects for options whose %s throws when it is read, and does not throw', async (_, option, call) => {
    const cache = await caches.open();
    await cache.set('kept', 1);
    const cause = new TypeError('boom');
    const given = Object.defineProperty({}, option, {
      enumerable: true,
      get() {
        throw cause;
      },
    });
    const answer = call(cache, wrong(given));
    await expect(answer).rejects.toMatchObject({ code: 'OPTIONS_INVALID', cause });
  });

  it.each<[string, (cache: CacheManager) => unknown]>([
    ['the ttl of an entry in get', (cache) => cache.get('kept', wrong({ ttl: '5m' }))],
    ['what a computation takes in set', (cache) => cache.set('new', 1, wrong({ hardTimeout: '5s' }))],
    ['a map of options', (cache) => cache.set('new', 1, wrong(new Map([['ttl', 5]])))],
    ['a signal for options', (cache) => cache.getOrSet('new', () => 1, wrong(new AbortController().signal))],
    ['bad options for no entries', (cache) => cache.setMany([], wrong({ tll: 5 }))],
    ['bad options for no keys', (cache) => cache.getMany([], wrong({ tll: 5 }))],
  ])('refuses %s', async (_, call) => {
    const cache = await caches.open();
    await cache.set('kept', 1);
    await expect(call(cache)).rejects.toMatchObject({ code: 'OPTIONS_INVALID' });
    expect(await cache.has('new')).toBe(false);
  });
});

describe('options', () => {
  it('that a hit in memory does not need are refused by the first call, which misses', async () => {
    const cache = await caches.open();
    const ask = (): Promise<string> => cache.getOrSet('k', () => 'computed', wrong({ tagz: ['t'] }));
    await expect(ask()).rejects.toMatchObject({ code: 'OPTIONS_INVALID', message: expect.stringContaining("'tags'") });
    expect(await cache.has('k')).toBe(false);
    await cache.set('k', 'held');
    expect(await ask()).toBe('held');
  });
});

describe('a ttl that was meant in milliseconds', () => {
  const warnings = (): { readonly texts: string[]; readonly logger: never } => {
    const texts: string[] = [];
    const hear = (text: unknown): void => void texts.push(String(text));
    const logger = { log: () => undefined, error: hear, warn: hear, debug: () => undefined, verbose: () => undefined };
    return { texts, logger: wrong(logger) };
  };

  it.each([
    ['of a built-in lane', { standard: { ttl: 60_000 } }],
    ['of a lane that extends one', { ml: { extends: 'heavy', ttl: 600_000 } }],
    ['over a day', { standard: { ttl: 86_401 } }],
  ])('%s warns once', async (_, lanes) => {
    const { texts, logger } = warnings();
    await caches.open({ lanes, logger });
    expect(texts.filter((text) => text.includes('SECONDS'))).toHaveLength(1);
  });

  it.each([{ standard: { ttl: 600 } }, { standard: { ttl: '60000s' } }, { standard: { ttl: 86_400 } }] as const)(
    'is not suspected in %p',
    async (lanes) => {
      const { texts, logger } = warnings();
      await caches.open({ lanes, logger });
      expect(texts).toEqual([]);
    },
  );

  it('warns when a computation sets it', async () => {
    const { texts, logger } = warnings();
    const cache = await caches.open({ logger });
    for (const key of ['a', 'b']) await cache.getOrSet(key, (ctx) => ctx.setTtl(60_000));
    expect(texts.filter((text) => text.includes('SECONDS'))).toHaveLength(1);
  });

  it('warns when a computation of several keys sets it', async () => {
    const { texts, logger } = warnings();
    const cache = await caches.open({ logger });
    await cache.getOrSetMany(['a'], (_, ctx) => {
      ctx.setTtl('a', 60_000);
      return new Map([['a', 1]]);
    });
    expect(texts.filter((text) => text.includes('SECONDS'))).toHaveLength(1);
  });
});

describe('CACHE_MANAGER over a lane', () => {
  async function dropIn(): Promise<Cache> {
    const settings = { directory: false, checkpoints: false, provideCacheManager: true } as const;
    const module = await Test.createTestingModule({ imports: [LaneCacheModule.forRoot(settings)] }).compile();
    modules.push(module);
    return module.get<Cache>(CACHE_MANAGER);
  }

  it.each<[string, unknown]>([
    ['an object', { ttl: 30 }],
    ['a text', '30s'],
    ['NaN', Number.NaN],
    ['a flag', true],
  ])('rejects a set with %s for a ttl, and emits no set', async (_, ttl) => {
    const cache = await dropIn();
    const emitted = jest.fn();
    cache.on('set', (event) => {
      if (event.error === undefined) emitted(event);
    });
    await expect(cache.set('key', 1, wrong(ttl))).rejects.toMatchObject({
      code: 'TTL_INVALID',
      message: expect.stringContaining('MILLISECONDS'),
    });
    expect(emitted).not.toHaveBeenCalled();
    expect(await cache.get('key')).toBeUndefined();
  });

  it('rejects an mset with a ttl that is no number, and stores nothing', async () => {
    const cache = await dropIn();
    const list = [
      { key: 'a', value: 1 },
      { key: 'b', value: 2, ttl: wrong('30s') },
    ];
    await expect(cache.mset(list)).rejects.toMatchObject({ code: 'TTL_INVALID' });
    expect(await cache.mget(['a', 'b'])).toEqual([undefined, undefined]);
  });

  it.each<[string, unknown]>([
    ['a text', '30s'],
    ['an unknown option', { ttl: 30, refreshTreshold: 5 }],
    ['a wrong type', { ttl: '30s' }],
  ])('rejects a wrap with %s, and computes nothing', async (_, options) => {
    const cache = await dropIn();
    const compute = jest.fn(() => 1);
    await expect(cache.wrap('key', compute, wrong(options))).rejects.toMatchObject({
      code: expect.stringMatching(/^(TTL|OPTIONS)_INVALID$/),
    });
    expect(compute).not.toHaveBeenCalled();
  });

  it.each([undefined, 0, 1_000])('takes %p for a ttl', async (ttl) => {
    const cache = await dropIn();
    await cache.set('key', 1, ttl);
    expect(await cache.get('key')).toBe(1);
  });
});

describe('an option of a lane that is given to the module', () => {
  it.each([
    ['forRoot', (options: LaneCacheModuleOptions) => LaneCacheModule.forRoot(options)],
    ['forRootAsync', (options: LaneCacheModuleOptions) => LaneCacheModule.forRootAsync(wrong(options))],
    ['a factory', (options: LaneCacheModuleOptions) => LaneCacheModule.forRootAsync({ useFactory: () => options })],
    ['the testing module', (options: LaneCacheModuleOptions) => LaneCacheTestingModule.forRoot(options)],
  ])('by %s is refused, and the text shows where it belongs', async (_, module) => {
    const boot = async (): Promise<unknown> =>
      Test.createTestingModule({ imports: [module(wrong({ ttl: '5m' }))] }).compile();
    await expect(boot()).rejects.toMatchObject({
      code: 'OPTIONS_INVALID',
      field: 'ttl',
      message: expect.stringMatching(/belongs to a lane: lanes: \{ standard: \{ ttl/),
    });
  });
});
