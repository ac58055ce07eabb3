import type { DynamicModule, Type } from '@nestjs/common';
import { Injectable } from '@nestjs/common';
import {
  Cached,
  CacheInvalidate,
  type CacheManager,
  CachePut,
  type CheckpointService,
  Checkpointed,
  LaneAwareCacheStrategy,
  type LaneCacheModuleOptions,
  type StandardSchema,
} from '../../lib/index.js';
import { LaneCacheTestingModule } from '../../lib/testing/index.js';

type Fn = (...args: readonly never[]) => unknown;

/** How a collaborator behaves. */
export const BEHAVIOURS = [
  'throws',
  'rejects',
  'never answers',
  'answers nonsense',
  'gets',
  'computes',
  'sets',
  'invalidates',
  'clears',
  'closes',
] as const;
export type Behaviour = (typeof BEHAVIOURS)[number];

/** The error that a collaborator fails with. */
export const MINE = new TypeError('mine');

const NONSENSE: readonly unknown[] = [
  undefined,
  null,
  42,
  'nonsense',
  {},
  [],
  Symbol('nonsense'),
  Number.NaN,
  () => 1,
  new Map(),
];

/** Makes functions that behave so, around one that behaves well. Those that call back into the cache do so first. */
export class Mischief {
  private cache: CacheManager | undefined;
  private count = 0;
  private left = 0;
  /** Whether it acts. */
  isOn = false;

  constructor(readonly behaviour: Behaviour) {}

  /** From here on the cache can be called back. */
  against(cache: CacheManager): void {
    this.cache = cache;
    this.isOn = true;
  }

  /** Lets it call back a few times more. One that always did would keep itself busy for ever. */
  renew(): void {
    this.left = 3;
  }

  around<F extends Fn>(well: F): F {
    const act = (...args: readonly never[]): unknown => (this.isOn ? this.act(well, args) : well(...args));
    return act as F;
  }

  private act(well: Fn, args: readonly never[]): unknown {
    switch (this.behaviour) {
      case 'throws':
        throw MINE;
      case 'rejects':
        return Promise.reject(MINE);
      case 'never answers':
        return new Promise(() => undefined);
      case 'answers nonsense':
        return NONSENSE[this.count++ % NONSENSE.length];
      default:
        this.callBack(this.behaviour);
        return well(...args);
    }
  }

  private callBack(behaviour: Behaviour): void {
    const { cache } = this;
    if (cache === undefined || this.left-- <= 0) return;
    const key = `mine ${this.count++}`;
    const calls: Partial<Record<Behaviour, () => Promise<unknown>>> = {
      gets: () => Promise.all([cache.get('kept'), cache.has('kept'), cache.getMany(['kept'])]),
      computes: () => cache.getOrSet(key, () => 'mine'),
      sets: () => cache.set(key, 'mine'),
      invalidates: () =>
        Promise.all([cache.invalidate('kept'), cache.invalidateByTag('t'), cache.invalidateByPattern('k*')]),
      clears: () => cache.clearAll(),
      closes: () => cache.close(),
    };
    // A function that answers at once does not wait for what it starts.
    void calls[behaviour]?.().catch(() => undefined);
  }
}

/** What the app hands in, each behaving well unless it is the hostile one. */
export const COLLABORATORS = [
  'logger',
  'logger of nothing',
  'strategy',
  'subclass of LaneAwareCacheStrategy',
  'schema',
  'listener',
  'key',
  'tags',
  'condition',
  'unless',
  'resultTags',
  'ttl',
  'key to put',
  'condition to put',
  'key to invalidate',
  'tags to invalidate',
  'pattern to invalidate',
  'condition to invalidate',
  'id of a checkpoint',
  'workflow of a checkpoint',
  'getter in options',
  'getter in values',
] as const;
export type Hostile = (typeof COLLABORATORS)[number];

const EVENTS = [
  'hit',
  'miss',
  'bypass',
  'refuse',
  'store',
  'compute',
  'stale',
  'evict',
  'invalidate',
  'tier',
  'sweep',
  'checkpoint',
  'step',
  'workflow',
  'cleanup',
  'warm',
  'fault',
] as const;

/** Functions for a decorated class, one of them hostile. */
function functionsFor(hostile: Hostile, mischief: Mischief) {
  const one = <F extends Fn>(name: Hostile, well: F): F => (name === hostile ? mischief.around(well) : well);
  return {
    key: one('key', (id: string) => `key:${id}`),
    tags: one('tags', (id: string) => [`tag:${id}`]),
    condition: one('condition', () => true),
    unless: one('unless', () => false),
    resultTags: one('resultTags', () => ['result']),
    ttl: one('ttl', () => '1m' as const),
    putKey: one('key to put', (id: string) => `put:${id}`),
    putCondition: one('condition to put', () => true),
    invalidateKey: one('key to invalidate', (id: string) => `key:${id}`),
    invalidateTags: one('tags to invalidate', (id: string) => [`tag:${id}`]),
    invalidatePattern: one('pattern to invalidate', (id: string) => `key:${id}*`),
    invalidateCondition: one('condition to invalidate', () => true),
    id: one('id of a checkpoint', (id: string) => `step:${id}`),
    workflow: one('workflow of a checkpoint', () => 'flow'),
  };
}

export interface Host {
  ran: number;
  cached(id: string): Promise<string>;
  put(id: string): Promise<string>;
  change(id: string): Promise<string>;
  step(id: string): Promise<string>;
}

function hostOf(hostile: Hostile, mischief: Mischief, schema: StandardSchema | undefined): Type<Host> {
  const given = functionsFor(hostile, mischief);
  const { key, tags, condition, unless, resultTags, ttl, putKey, putCondition } = given;
  const { invalidateKey, invalidateTags, invalidatePattern, invalidateCondition, id, workflow } = given;
  const checked = schema === undefined ? {} : { schema };

  @Injectable()
  class Hosting implements Host {
    ran = 0;

    @Cached({ key, tags, condition, unless, resultTags, ttl, ...checked })
    async cached(name: string): Promise<string> {
      return this.ranOnce(`cached ${name}`);
    }

    @CachePut({ key: putKey, tags, condition: putCondition, unless, resultTags, ttl })
    async put(name: string): Promise<string> {
      return this.ranOnce(`put ${name}`);
    }

    @CacheInvalidate({
      key: invalidateKey,
      tags: invalidateTags,
      pattern: invalidatePattern,
      condition: invalidateCondition,
    })
    async change(name: string): Promise<string> {
      return this.ranOnce(`changed ${name}`);
    }

    @Checkpointed({ id, workflow })
    async step(name: string): Promise<string> {
      return this.ranOnce(`step ${name}`);
    }

    private ranOnce(result: string): string {
      this.ran++;
      return result;
    }
  }
  return Hosting;
}

/** An app into which one hostile collaborator is handed. */
export interface HostileApp {
  readonly module: DynamicModule;
  readonly host: Type<Host>;
  readonly schema: StandardSchema | undefined;
  /** To be called once the app runs. */
  readonly listen: (cache: CacheManager) => void;
}

export function hostileApp(hostile: Hostile, mischief: Mischief): HostileApp {
  const write = mischief.around(() => undefined);
  const logger = { log: write, warn: write, error: write, debug: write, isLevelEnabled: mischief.around(() => true) };
  const shouldCache = mischief.around(() => true);
  const getEvictionPriority = mischief.around(() => 0);
  class Own extends LaneAwareCacheStrategy {
    override shouldCache(...args: Parameters<LaneAwareCacheStrategy['shouldCache']>): boolean {
      return mischief.around(super.shouldCache.bind(this))(...args);
    }

    override getEvictionPriority(...args: Parameters<LaneAwareCacheStrategy['getEvictionPriority']>): number {
      return mischief.around(super.getEvictionPriority.bind(this))(...args);
    }
  }
  const strategies: Partial<Record<Hostile, LaneAwareCacheStrategy>> = {
    strategy: { shouldCache, getEvictionPriority },
    'subclass of LaneAwareCacheStrategy': new Own(),
  };
  const strategy = strategies[hostile];
  const loggers: Partial<Record<Hostile, object>> = { logger, 'logger of nothing': {} };
  const options = {
    logger: loggers[hostile] ?? false,
    lanes: { standard: { l1: { maxEntries: 4 }, ...(strategy !== undefined && { strategy }) } },
  } as LaneCacheModuleOptions;
  const validate = mischief.around((value: unknown) => ({ value }));
  const schema = { '~standard': { version: 1, vendor: 'own', validate } } as const;
  const given = hostile === 'schema' ? schema : undefined;
  return {
    module: LaneCacheTestingModule.forRoot(options),
    host: hostOf(hostile, mischief, given),
    schema: given,
    listen: (cache) => {
      if (hostile !== 'listener') return;
      for (const name of EVENTS)
        cache.events.on(
          name,
          mischief.around(() => undefined),
        );
    },
  };
}

/** What the calls work with. */
export interface Stage {
  readonly cache: CacheManager;
  readonly checkpoints: CheckpointService;
  readonly host: Host;
  /** Options that name `option`; those of a call that reads have the schema too. */
  readonly reading: (option: string, value: unknown) => object;
  readonly options: (option: string, value: unknown) => object;
  readonly value: () => unknown;
}

interface PublicCall {
  readonly run: (stage: Stage) => Promise<unknown>;
  /** Whether the answer is one that the call may give. `value` is what was given to be stored. */
  readonly fits: (answer: unknown, value: unknown) => boolean;
}

const anyOf =
  (...values: readonly unknown[]) =>
  (answer: unknown): boolean =>
    values.includes(answer);
const isNumber = (answer: unknown): boolean => typeof answer === 'number';
const isObject = (answer: unknown): boolean => typeof answer === 'object' && answer !== null;
const isNothing = anyOf(undefined);
const isFlag = anyOf(true, false);

/** Every public call that takes or meets what an app hands in. */
export const PUBLIC_CALLS: Readonly<Record<string, PublicCall>> = {
  get: {
    run: ({ cache, reading }) => cache.get('kept', reading('version', 0)),
    fits: anyOf('kept', undefined),
  },
  getMany: {
    run: ({ cache, reading }) => cache.getMany(['kept', 'none'], reading('version', 0)),
    fits: isObject,
  },
  getOrSet: {
    run: ({ cache, value, reading }) => cache.getOrSet('computed', value, reading('ttl', '1m')),
    fits: (answer, value) => answer === value,
  },
  getOrSetMany: {
    run: async ({ cache, value, reading }) => {
      const compute = (keys: readonly string[]) => new Map(keys.map((key) => [key, value()]));
      const found = await cache.getOrSetMany(['m1', 'm2'], compute, reading('ttl', '1m'));
      return found.get('m1') === found.get('m2') ? found.get('m1') : 'not the same';
    },
    fits: (answer, value) => answer === value,
  },
  has: { run: ({ cache }) => cache.has('kept'), fits: isFlag },
  set: { run: ({ cache, value, options }) => cache.set('set', value(), options('ttl', '1m')), fits: isFlag },
  setMany: {
    run: ({ cache, value, options }) =>
      cache.setMany(
        [
          ['s1', value()],
          ['s2', value()],
        ],
        options('ttl', '1m'),
      ),
    fits: isNumber,
  },
  invalidate: { run: ({ cache }) => cache.invalidate('set'), fits: isFlag },
  expire: { run: ({ cache }) => cache.expire('s1'), fits: isFlag },
  invalidateByTag: { run: ({ cache }) => cache.invalidateByTag('none'), fits: isNothing },
  invalidateByPattern: { run: ({ cache }) => cache.invalidateByPattern('m?'), fits: isNumber },
  explain: { run: ({ cache }) => cache.explain('kept'), fits: isObject },
  entries: {
    run: async ({ cache }) => {
      const keys: string[] = [];
      for await (const { key } of cache.entries('*')) keys.push(key);
      return keys;
    },
    fits: Array.isArray,
  },
  clearAll: { run: ({ cache, options }) => cache.clearAll(options('lanes', 'all')), fits: isNothing },
  flush: { run: ({ cache }) => cache.flush(), fits: isNothing },
  sweep: { run: ({ cache }) => cache.sweep(), fits: isObject },
  cacheCheckpoint: {
    run: ({ checkpoints, value, options }) => checkpoints.cacheCheckpoint('saved', value(), options('ttl', '1d')),
    fits: isObject,
  },
  restoreCheckpoint: {
    run: ({ checkpoints, options }) => checkpoints.restoreCheckpoint('kept', options('maxAge', '1d')),
    fits: anyOf('kept', undefined),
  },
  'list of checkpoints': {
    run: ({ checkpoints, options }) => checkpoints.list(options('limit', 5)),
    fits: isObject,
  },
  '@Cached': { run: ({ host }) => host.cached('1'), fits: anyOf('cached 1') },
  '@CachePut': { run: ({ host }) => host.put('1'), fits: anyOf('put 1') },
  '@CacheInvalidate': { run: ({ host }) => host.change('1'), fits: anyOf('changed 1') },
  '@Checkpointed': { run: ({ host }) => host.step('1'), fits: anyOf('step 1') },
};
