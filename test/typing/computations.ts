/** What the compiler infers from a computation. It runs nothing: a line that does not hold does not compile. */
import type { CacheManager, ComputeContext } from 'nestjs-lane-cache';
import { isSame } from './same-type.js';

interface Page {
  readonly html: string;
}

export async function computations(cache: CacheManager): Promise<unknown> {
  const withContext = cache.getOrSet('k', async (_ctx) => 1);
  isSame<typeof withContext, Promise<number>>();
  const withoutContext = cache.getOrSet('k', async () => ({ html: 'x' }));
  isSame<typeof withoutContext, Promise<{ html: string }>>();
  const atOnce = cache.getOrSet('k', (ctx) => ctx.key);
  isSame<typeof atOnce, Promise<string>>();
  const inBlocks = cache.getOrSet('k', async (ctx) => {
    ctx.setTtl('5m');
    if (ctx.signal.aborted) return undefined;
    return [1, 2];
  });
  isSame<typeof inBlocks, Promise<number[] | undefined>>();
  const withOptions = cache.getOrSet('k', async ({ lane }) => lane.length, { ttl: '5m', tags: ['t'] });
  isSame<typeof withOptions, Promise<number>>();

  const stated = cache.getOrSet<Page>('k', async (ctx) => {
    isSame<typeof ctx, ComputeContext<Page>>();
    return ctx.stale?.value ?? { html: '' };
  });
  isSame<typeof stated, Promise<Page>>();
  const annotated = cache.getOrSet('k', async (ctx: ComputeContext<Page>) => ctx.stale?.value.html.length ?? 0);
  isSame<typeof annotated, Promise<number>>();
  const guarded = cache.getOrSet('k', async ({ stale }) => {
    // what was stored under the key before is of no known type
    isSame<NonNullable<typeof stale>['value'], unknown>();
    return 1;
  });
  isSame<typeof guarded, Promise<number>>();
  const expected: Promise<Page> = cache.getOrSet('k', async (_ctx) => ({ html: 'x' }));

  const many = cache.getOrSetMany(['a'], async (missing, ctx) => {
    for (const key of missing) ctx.setTags(key, ['t']);
    return new Map(missing.map((key) => [key, key.length]));
  });
  isSame<typeof many, Promise<Map<string, number>>>();
  const manyWithoutContext = cache.getOrSetMany(['a'], (missing) => new Map([[missing[0] ?? '', true]]));
  isSame<typeof manyWithoutContext, Promise<Map<string, boolean>>>();

  // @ts-expect-error -- the result is a number
  const wrong: Promise<string> = cache.getOrSet('k', async (_ctx) => 1);
  // @ts-expect-error -- the stated type does not fit the result
  void cache.getOrSet<Page>('k', async (_ctx) => ({ text: 'x' }));
  // @ts-expect-error -- a context has no such member
  void cache.getOrSet('k', async (ctx) => ctx.nope);
  // @ts-expect-error -- there is no such option
  void cache.getOrSet('k', async (_ctx) => 1, { tll: '5m' });
  return Promise.all([expected, wrong]);
}

/** A function of the app around the cache keeps its own type parameter. */
export function memoized<T>(cache: CacheManager, key: string, compute: () => Promise<T>): Promise<Awaited<T>> {
  return cache.getOrSet(key, (_ctx) => compute());
}
