import { describe, expect, it } from '@jest/globals';
import { LaneAwareCacheStrategy, type EntryView } from '../../../lib/lanes/strategy.js';

class ByTag extends LaneAwareCacheStrategy {
  override getEvictionPriority(lane: string, entry: EntryView): number {
    const base = super.getEvictionPriority(lane, entry);
    if (entry.tags.includes('important')) return base - 100;
    return entry.tags.includes('temporary') ? base + 100 : base;
  }
}

const entry = (tags: readonly string[], idleMs: number): EntryView => ({
  key: 'k',
  tier: 'l1',
  sizeBytes: 1_000,
  computeMs: 10,
  accessCount: 1,
  ageMs: idleMs,
  remainingMs: 1,
  tags,
  idleMs,
});

describe('a strategy of an app', () => {
  it('decides by tag, before the base strategy', () => {
    const strategy = new ByTag();
    const views = [entry(['temporary'], 0), entry([], 1e12), entry([], 0), entry(['important'], 1e12)];
    const priorities = views.map((view) => strategy.getEvictionPriority('standard', view));
    expect(priorities).toEqual(priorities.toSorted((a, b) => b - a));
  });

  it('caches everything by default', () => {
    const candidate = { lane: 'docs', key: 'k', value: null, tags: [], sizeBytes: 1e9, computeMs: 0 };
    expect(new LaneAwareCacheStrategy().shouldCache(candidate)).toBe(true);
  });
});
