import { describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../../lib/clock/clock.js';
import type { CacheManager } from '../../../lib/index.js';
import { Jobs } from '../../support/jobs.js';
import { FREE_TURNS, LaneApp, QuietLog, type SharedParts } from '../../support/lane-app.js';
import { ModelDisk, ModelTier } from '../../support/model-tier.js';
import { recordOf } from '../../support/stored-tiers.js';

const NAMES = ['l2', 'l3', 'l4'] as const;

/** An app whose tiers below memory lie on these disks, and the tiers. */
const appOn = (disks: readonly ModelDisk[]) => {
  const tierAt = (at: 0 | 1 | 2): ModelTier =>
    new ModelTier(NAMES[at], ['standard'], disks[at] ?? new ModelDisk(), new Jobs());
  const [l2, l3, l4] = [tierAt(0), tierAt(1), tierAt(2)];
  const share = (): SharedParts => ({ tier: l4, log: new QuietLog(), turns: FREE_TURNS });
  const app = new LaneApp({ below: [l2, l3], share });
  app.serverInvalidations?.release();
  return { cache: app.manager(), tiers: [l2, l3, l4] };
};

const hitsAndMisses = (cache: CacheManager): readonly (readonly [number, number])[] => {
  const { l1, l2, l3, l4 } = cache.getMetrics();
  return [l1, l2, l3, l4].map(({ hits, misses }) => [hits, misses] as const);
};

describe('the look-ups of the tiers', () => {
  it.each([0, 1, 2])(
    'count a miss above the tier that has the entry, and none below (tier %i below memory)',
    async (at) => {
      const disks = NAMES.map(() => new ModelDisk());
      const before = appOn(disks);
      await before.cache.getOrSet('k', () => 'value');
      await nextTurn();
      const tier = before.tiers[at];
      while (tier !== undefined && tier.queued > 0) tier.commit();
      const { cache } = appOn(disks);
      expect(await cache.getOrSet('k', () => 'computed')).toBe('value');
      const below = NAMES.map((_, index) => (index < at ? [0, 1] : index === at ? [1, 0] : [0, 0]));
      expect(hitsAndMisses(cache)).toEqual([[0, 1], ...below]);
      await cache.get('k');
      expect(hitsAndMisses(cache)).toEqual([[1, 1], ...below]);
    },
  );

  it.each([0, 1, 2])(
    'count an error of the tier whose record is damaged, and a miss (tier %i below memory)',
    async (at) => {
      const disks = NAMES.map(() => new ModelDisk());
      disks[at]?.entries.set('standard k', { ...recordOf('k'), bytes: Buffer.from('no record') });
      const { cache } = appOn(disks);
      expect(await cache.getOrSet('k', () => 'computed')).toBe('computed');
      const { l2, l3, l4 } = cache.getMetrics();
      expect([l2, l3, l4].map(({ errors }) => errors)).toEqual(NAMES.map((_, index) => (index === at ? 1 : 0)));
      expect(hitsAndMisses(cache)).toEqual(['l1', ...NAMES].map(() => [0, 1]));
    },
  );

  it('count one miss of each tier where callers share a computation', async () => {
    const { cache } = appOn([]);
    await Promise.all([1, 2, 3].map(() => cache.getOrSet('k', async () => 'computed')));
    expect(hitsAndMisses(cache)).toEqual([
      [0, 3],
      [0, 1],
      [0, 1],
      [0, 1],
    ]);
  });
});
