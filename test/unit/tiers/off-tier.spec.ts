import { describe, expect, it } from '@jest/globals';
import { OffTier } from '../../../lib/tiers/off-tier.js';

describe('a tier that an app does without', () => {
  it('reports why it is off, holds nothing, and has nothing to remove', async () => {
    const tier = new OffTier('l2', 'no-directory');
    expect(tier.state).toEqual({ state: 'off', reason: 'no-directory' });
    expect(tier.read()).toEqual({ outcome: 'off', reason: 'no-directory' });
    expect(tier.write()).toBeUndefined();
    expect(tier.remove()).toBe(false);
    expect(await tier.removeMatching()).toBe(0);
    expect(tier.usage()).toEqual({ entries: 0, sizeBytes: 0 });
    expect(await tier.sweep()).toEqual({ expired: 0, evicted: 0 });
    for await (const key of tier.keys()) expect(key).toBe('none');
    await Promise.all([tier.clear(), tier.flush(), tier.close()]);
  });
});
