import type { Compute, ComputeContext, EntryOptions } from '../cache/call-options.js';
import type { LaneManager } from '../cache/lane-manager.js';

/** What a test puts in the place of the manager: some of its methods, which may answer at once. */
type StandIn = Partial<Record<keyof LaneManager, unknown>>;

/**
 * The manager itself; or, if a test has overridden `CacheManager` by a value of its own, that value with what decorators
 * need besides. A method that the value lacks does what a cache that never holds anything does, by `get` and `set` of the
 * value if it has them.
 */
export function completed(given: LaneManager): LaneManager {
  const standIn: StandIn = given;
  // only the manager has those that are no part of the public face
  if (typeof standIn.putComputed === 'function' && typeof standIn.warnOnce === 'function') return given;
  const fallbacks = fallbacksFor(standIn);
  const proxy: LaneManager = new Proxy(given, {
    get: (target, name) => {
      const own: unknown = Reflect.get(target, name);
      if (typeof own !== 'function') return own ?? (name === 'forLane' ? () => proxy : Reflect.get(fallbacks, name));
      if (name === 'forLane') return (lane: string) => completed(Reflect.apply(own, target, [lane]) ?? target);
      if (AT_ONCE.includes(name)) return own.bind(target);
      // a mock may answer without a promise
      return async (...args: readonly unknown[]): Promise<unknown> => Reflect.apply(own, target, args);
    },
  });
  return proxy;
}

/** Not asynchronous. */
const AT_ONCE: readonly PropertyKey[] = ['bypass', 'warnOnce', 'classNameOf'];

function fallbacksFor(standIn: StandIn): object {
  const nothing = (): undefined => undefined;
  const ask = async (name: 'get' | 'set', ...args: readonly unknown[]): Promise<unknown> => {
    const method = standIn[name];
    return typeof method === 'function' ? Reflect.apply(method, standIn, args) : undefined;
  };
  const put = async (key: string, compute: Compute<unknown>, options?: EntryOptions): Promise<unknown> => {
    const rules = { ...options };
    let isRefused = false;
    const context: ComputeContext = {
      key,
      lane: '',
      signal: new AbortController().signal,
      setTags: (tags) => void Object.assign(rules, { tags: [...(rules.tags ?? []), ...tags] }),
      setTtl: (ttl) => void Object.assign(rules, { ttl }),
      skipCache: () => void (isRefused = true),
    };
    const value = await compute(context);
    if (!isRefused && value !== undefined) await ask('set', key, value, rules);
    return value;
  };
  return {
    getOrSet: async (key: string, compute: Compute<unknown>, options?: EntryOptions) =>
      (await ask('get', key)) ?? put(key, compute, options),
    putComputed: put,
    invalidate: async () => false,
    invalidateByTag: async () => undefined,
    invalidateByPattern: async () => 0,
    clearAll: async () => undefined,
    close: async () => undefined,
    snapshots: { runStep: async (_id: string, run: () => unknown) => run() },
    classNameOf: nothing,
    has: async () => false,
    warmCalls: async () => undefined,
    fault: nothing,
    bypass: nothing,
    warnOnce: nothing,
  };
}
