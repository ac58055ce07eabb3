import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { LaneAwareCacheStrategy, type EntryView } from '../../../lib/lanes/strategy.js';

const YEAR_MS = 365 * 86_400_000;
const strategy = new LaneAwareCacheStrategy();
const priority = (entry: EntryView): number => strategy.getEvictionPriority('standard', entry);

const entries = fc.record<EntryView>({
  key: fc.string(),
  tags: fc.array(fc.string()),
  tier: fc.constantFrom('l1', 'l2', 'l3', 'l4'),
  sizeBytes: fc.nat({ max: 2 ** 31 - 1 }),
  computeMs: fc.double({ min: 0, max: 3_600_000, noNaN: true }),
  accessCount: fc.nat({ max: 1_000_000 }),
  ageMs: fc.double({ min: 0, max: YEAR_MS, noNaN: true }),
  idleMs: fc.double({ min: 0, max: YEAR_MS, noNaN: true }),
  remainingMs: fc.double({ min: 0, max: YEAR_MS, noNaN: true }),
});

describe('the priority of the base strategy', () => {
  it('lies in [0, 1], also for invalid numbers', () => {
    const wild = fc.double();
    fc.assert(
      fc.property(entries, wild, wild, wild, wild, (entry, idleMs, sizeBytes, accessCount, computeMs) => {
        for (const view of [entry, { ...entry, idleMs, sizeBytes, accessCount, computeMs }]) {
          expect(priority(view)).toBeGreaterThanOrEqual(0);
          expect(priority(view)).toBeLessThanOrEqual(1);
        }
      }),
    );
  });

  it.each(['idleMs', 'sizeBytes'] as const)('never falls as %s grows', (field) => {
    fc.assert(
      fc.property(entries, fc.nat({ max: 2 ** 31 - 1 }), (entry, more) => {
        expect(priority({ ...entry, [field]: entry[field] + more })).toBeGreaterThanOrEqual(priority(entry));
      }),
    );
  });

  it.each(['accessCount', 'computeMs'] as const)('never rises as %s grows', (field) => {
    fc.assert(
      fc.property(entries, fc.nat({ max: 1_000_000 }), (entry, more) => {
        expect(priority({ ...entry, [field]: entry[field] + more })).toBeLessThanOrEqual(priority(entry));
      }),
    );
  });

  it('depends on each of its four inputs', () => {
    const entry: EntryView = {
      key: 'k',
      tags: [],
      tier: 'l1',
      sizeBytes: 10_000,
      computeMs: 500,
      accessCount: 3,
      ageMs: 60_000,
      idleMs: 30_000,
      remainingMs: 60_000,
    };
    expect(priority({ ...entry, idleMs: 60_000 })).toBeGreaterThan(priority(entry));
    expect(priority({ ...entry, sizeBytes: 20_000 })).toBeGreaterThan(priority(entry));
    expect(priority({ ...entry, accessCount: 6 })).toBeLessThan(priority(entry));
    expect(priority({ ...entry, computeMs: 1_000 })).toBeLessThan(priority(entry));
  });
});
