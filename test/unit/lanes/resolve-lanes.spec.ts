import { describe, expect, it } from '@jest/globals';
import type { CachePolicy, LanePolicyInput } from '../../../lib/lanes/policy.js';
import { defineLane, resolveLanes } from '../../../lib/lanes/resolve-lanes.js';
import { LaneAwareCacheStrategy } from '../../../lib/lanes/strategy.js';

const MB = 1_024 ** 2;
const GB = 1_024 ** 3;

const policyOf = (lane: string, lanes?: Readonly<Record<string, LanePolicyInput>>): CachePolicy => {
  const resolved = resolveLanes(lanes).get(lane);
  if (resolved === undefined) throw new Error(`no lane ${lane}`);
  return resolved.policy;
};

/** For arguments that TypeScript rejects. */
const resolveUntyped = (lanes: unknown): unknown => Reflect.apply(resolveLanes, undefined, [lanes]);

const errorOf = (run: () => unknown): unknown => {
  try {
    return run();
  } catch (error) {
    return error;
  }
};

describe('the built-in lanes', () => {
  it('are docs, standard and heavy, in this order, also when others are written first', () => {
    expect([...resolveLanes().keys()]).toEqual(['docs', 'standard', 'heavy']);
    expect([...resolveLanes({ ml: { extends: 'heavy' }, docs: {} }).keys()]).toEqual([
      'docs',
      'standard',
      'heavy',
      'ml',
    ]);
  });

  it('have the documented limits', () => {
    expect(policyOf('docs')).toMatchObject({
      l1: { maxEntries: 100, maxBytes: 64 * MB },
      l2: { enabled: true, maxEntries: 1_000, maxBytes: 512 * MB },
      l3: { enabled: false },
      maxEntryBytes: 4 * MB,
      ttlMs: 300_000,
      compression: { enabled: true, minBytes: 1_024, codec: 'brotli' },
      targets: { hitRate: [60, 75], speedUp: [5, 10] },
    });
    expect(policyOf('standard')).toMatchObject({
      l1: { maxEntries: 500, maxBytes: 256 * MB },
      l2: { enabled: true, maxEntries: 5_000, maxBytes: GB },
      l3: { enabled: true, maxEntries: 50_000, maxBytes: 256 * MB },
      maxEntryBytes: 16 * MB,
      ttlMs: 900_000,
      compression: { enabled: false },
      targets: { hitRate: [50, 70], speedUp: [3, 7] },
    });
    expect(policyOf('heavy')).toMatchObject({
      l1: { maxEntries: 1_000, maxBytes: 512 * MB },
      l2: { enabled: true, maxEntries: 10_000, maxBytes: 2 * GB },
      l3: { enabled: true, maxEntries: 100_000, maxBytes: 512 * MB },
      maxEntryBytes: 64 * MB,
      ttlMs: 1_800_000,
      compression: { enabled: false },
      targets: { hitRate: [40, 60], speedUp: [2, 5] },
    });
  });

  it('evict by LRU, return frozen values, and never serve stale ones', () => {
    for (const { policy, strategy } of resolveLanes().values()) {
      expect(strategy).toBeUndefined();
      expect(policy).toMatchObject({
        eviction: 'lru',
        isolation: 'frozen',
        graceMs: 0,
        graceBackoffMs: 10_000,
        refreshAhead: null,
        softTimeoutMs: null,
        hardTimeoutMs: null,
        jitterMs: 0,
      });
      expect(policy.useCases).toHaveLength(3);
    }
  });
});

describe('the resolution of lanes', () => {
  it('merges field by field, including one level of nesting', () => {
    expect(policyOf('docs', { docs: { ttl: '20m', l1: { maxEntries: 7 }, targets: { hitRate: [1, 2] } } })).toEqual({
      ...policyOf('docs'),
      ttlMs: 1_200_000,
      l1: { maxEntries: 7, maxBytes: 64 * MB },
      targets: { hitRate: [1, 2], speedUp: [5, 10] },
    });
  });

  it('starts from standard for a new lane', () => {
    expect(policyOf('mine', { mine: {} })).toEqual({ ...policyOf('standard'), lane: 'mine' });
  });

  it('follows extends through lanes in any order, overridden ones included', () => {
    const lanes = {
      c: { extends: 'b', ttl: 3 },
      b: { extends: 'heavy', grace: '1h' },
      heavy: { l1: { maxEntries: 9 } },
    } as const;
    expect(policyOf('c', lanes)).toMatchObject({ lane: 'c', ttlMs: 3_000, graceMs: 3_600_000, l1: { maxEntries: 9 } });
  });

  it('gives a new lane with a description no use cases of the lane that it extends', () => {
    expect(policyOf('mine', { mine: { extends: 'docs', description: 'small pictures' } }).useCases).toEqual([]);
    expect(policyOf('docs', { docs: { description: 'our pages' } }).useCases).toHaveLength(3);
  });

  it('treats undefined fields as absent', () => {
    expect(resolveUntyped({ docs: { ttl: undefined } })).toEqual(resolveLanes());
  });

  it('inherits a strategy, and shows it in the policy', () => {
    const strategy = new LaneAwareCacheStrategy();
    const lanes = resolveLanes({ a: { strategy }, b: { extends: 'a' } });
    expect(lanes.get('b')?.strategy).toBe(strategy);
    expect(lanes.get('b')?.policy.eviction).toBe('strategy');
  });

  it.each<[NonNullable<LanePolicyInput['compression']>, CachePolicy['compression']]>([
    [true, { enabled: true, minBytes: 1_024, codec: 'brotli' }],
    [false, { enabled: false, minBytes: 1_024, codec: 'brotli' }],
    [{ minBytes: '4KB' }, { enabled: true, minBytes: 4_096, codec: 'brotli' }],
    [{}, { enabled: true, minBytes: 1_024, codec: 'brotli' }],
  ])('reads compression %p', (compression, expected) => {
    expect(policyOf('mine', { mine: { compression } }).compression).toEqual(expected);
  });

  it('keeps a shared lane local by default', () => {
    const lanes = { mine: { isolation: 'shared', l2: { enabled: false }, l3: { enabled: false } } } as const;
    expect(policyOf('mine', lanes)).toMatchObject({ isolation: 'shared', l4: { enabled: false } });
  });

  it('freezes everything, and keeps no list of the caller', () => {
    const include = ['a*'];
    const lane = resolveLanes({ mine: { include } }).get('mine');
    include.push('b*');
    expect(lane?.policy.include).toEqual(['a*']);
    expect(Object.isFrozen(lane)).toBe(true);
    for (const part of [lane?.policy, lane?.policy.l1, lane?.policy.targets.hitRate, lane?.policy.include]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
    expect(Object.isFrozen(policyOf('docs').useCases)).toBe(true);
  });

  it('allows a ttl of 0', () => {
    expect(policyOf('mine', { mine: { ttl: 0, jitter: '1s' } }).ttlMs).toBe(0);
  });
});

describe('an invalid lane', () => {
  it.each<[string, unknown]>([
    ['ttl', -1],
    ['ttl', Number.NaN],
    ['ttl', '5 minutes'],
    ['ttl', null],
    ['grace', Infinity],
    ['hardTimeout', 0],
    ['softTimeout', -1],
    ['refreshAhead', 0],
    ['refreshAhead', 1],
    ['refreshAhead', '0.5'],
    ['maxEntryBytes', 0],
    ['maxEntryBytes', '1TB'],
    ['isolation', 'deep'],
    ['isolation', 'shared'],
    ['description', 5],
    ['useCases', 'one'],
    ['include', ['']],
    ['exclude', ['x'.repeat(513)]],
    ['exclude', [1]],
    ['compression', 'zstd'],
    ['compression', []],
    ['strategy', {}],
    ['strategy', () => true],
    ['l1', 100],
    ['l2', null],
    ['extends', 'nowhere'],
    ['extends', 5],
    ['jitter', '15m'],
    ['tll', 5],
  ])('is refused with lane and field: %s = %p', (field, value) => {
    expect(errorOf(() => resolveUntyped({ mine: { [field]: value } }))).toMatchObject({
      code: 'LANE_INVALID',
      lane: 'mine',
      field: `lanes.mine.${field}`,
      message: expect.stringMatching(new RegExp(`^Lane 'mine' is invalid: .*'lanes\\.mine\\.${field}'.+[.?]$`)),
    });
  });

  it.each<[string, unknown]>([
    ['l1.maxEntries', { l1: { maxEntries: 0 } }],
    ['l1.maxEntries', { l1: { maxEntries: 1.5 } }],
    ['l1.maxEntries', { l1: { maxEntries: 10_000_001 } }],
    ['l1.maxEntries', { l1: { maxEntries: Number.MAX_SAFE_INTEGER } }],
    ['l1.enabled', { l1: { enabled: false } }],
    ['l2.maxBytes', { l2: { maxBytes: -1 } }],
    ['l3.enabled', { l3: { enabled: 'yes' } }],
    ['l4.coalesce', { l4: { coalesce: 'world' } }],
    ['compression.minBytes', { compression: { minBytes: 'few' } }],
    ['compression.codec', { compression: { codec: 'gzip' } }],
    ['targets.hitRate', { targets: { hitRate: [70, 50] } }],
    ['targets.hitRate', { targets: { hitRate: [50, 101] } }],
    ['targets.speedUp', { targets: { speedUp: [1] } }],
  ])('is refused for a nested field too: %s', (field, input) => {
    expect(errorOf(() => resolveUntyped({ docs: input }))).toMatchObject({
      code: 'LANE_INVALID',
      field: `lanes.docs.${field}`,
    });
  });

  it('is refused with a text that explains what is wrong', () => {
    expect(() => resolveLanes({ docs: { ttl: -5 } })).toThrow(
      "Lane 'docs' is invalid: 'lanes.docs.ttl' must be a number of seconds (0 or more) or a string such as '500ms', '30s', '10m', '2h', '7d', not -5.",
    );
    expect(() => resolveUntyped({ docs: { tll: 5 } })).toThrow(/Did you mean 'ttl'\?/);
  });

  it.each(['', '9lives', 'a b', '../x', '__proto__x', `a${'b'.repeat(64)}`, 'ü'])('has a name like %p', (name) => {
    expect(errorOf(() => resolveLanes({ [name]: {} }))).toMatchObject({ code: 'LANE_INVALID', lane: name });
  });

  it('is anything that is not an object', () => {
    for (const shape of [null, 'docs', [], 5]) {
      expect(errorOf(() => resolveUntyped({ docs: shape }))).toMatchObject({
        code: 'LANE_INVALID',
        field: 'lanes.docs',
      });
      expect(errorOf(() => resolveUntyped(shape))).toMatchObject({ code: 'LANE_INVALID', field: 'lanes' });
    }
  });

  it.each<[Record<string, LanePolicyInput>, RegExp]>([
    [{ a: { extends: 'a' } }, /a -> a/],
    [{ a: { extends: 'b' }, b: { extends: 'a' } }, /a -> b -> a/],
    [{ docs: { extends: 'standard' }, standard: { extends: 'docs' } }, /docs -> standard -> docs/],
  ])('extends itself through others', (lanes, circle) => {
    expect(errorOf(() => resolveLanes(lanes))).toMatchObject({
      code: 'LANE_INVALID',
      message: expect.stringMatching(circle),
    });
  });

  it('inherits a field that does not fit its own', () => {
    const lanes = { a: { ttl: '1h', jitter: '10m' }, b: { extends: 'a', ttl: '5m' } } as const;
    expect(errorOf(() => resolveLanes(lanes))).toMatchObject({ lane: 'b', field: 'lanes.b.jitter' });
  });
});

describe('defineLane', () => {
  it('returns the same lane', () => {
    const lane: LanePolicyInput = { extends: 'heavy', ttl: '2h' };
    expect(defineLane(lane)).toBe(lane);
  });

  it('leaves to the app what only the app can decide', () => {
    const lane: LanePolicyInput = { extends: 'of-the-app', isolation: 'shared' };
    expect(defineLane(lane)).toBe(lane);
  });

  it('names the invalid field', () => {
    expect(errorOf(() => defineLane({ l1: { maxBytes: -1 } }))).toMatchObject({
      code: 'LANE_INVALID',
      field: 'l1.maxBytes',
    });
    expect(errorOf(() => defineLane({ extends: '../x' }))).toMatchObject({ code: 'LANE_INVALID', field: 'extends' });
    expect(errorOf(() => Reflect.apply(defineLane, undefined, [undefined]))).toMatchObject({ code: 'LANE_INVALID' });
  });
});
