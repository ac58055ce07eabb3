import { describe, expect, it } from '@jest/globals';
import { LifeClock } from '../../../lib/clock/clock.js';
import { ValueCodec } from '../../../lib/entries/codec/value-codec.js';
import { resolveLanes } from '../../../lib/lanes/resolve-lanes.js';
import { ChaosError, chaosTier, type ChaosPlan } from '../../../lib/testing/chaos-tier.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { DiskTier } from '../../../lib/tiers/stored-tier.js';
import { MemoryTier } from '../../../lib/tiers/memory-tier.js';
import type { Tier } from '../../../lib/tiers/tier.js';
import { MemorySource } from '../../support/memory-environment.js';
import { recordOf, tierSetting } from '../../support/stored-tiers.js';

const RECORD = recordOf('k');

async function diskUnder(plan: ChaosPlan) {
  const { clock, options } = tierSetting();
  const sound: Tier = await DiskTier.open(new MemorySource(), options);
  await sound.write('docs', RECORD);
  return { clock, sound, tier: chaosTier(sound, plan, clock) };
}

/** Which of many reads fail. */
async function failures(tier: Tier, reads = 200): Promise<number[]> {
  const failed: number[] = [];
  for (let index = 0; index < reads; index++) {
    const outcome = await Promise.resolve(tier.read('docs', 'k')).catch((error: unknown) => error);
    if (outcome instanceof ChaosError) failed.push(index);
  }
  return failed;
}

describe('failRate', () => {
  it('makes every call reject at 1, and the tier underneath is not touched', async () => {
    const { tier, sound } = await diskUnder({ failRate: 1 });
    const calls = [
      () => tier.read('docs', 'k'),
      () => tier.write('docs', recordOf('other')),
      () => tier.remove('docs', 'k'),
      () => tier.removeMatching('docs', () => true),
      () => tier.clear('docs'),
      () => tier.sweep('docs'),
      () => tier.flush(),
      () => tier.close(),
    ];
    for (const call of calls) await expect(call()).rejects.toBeInstanceOf(ChaosError);
    expect(sound.usage('docs').entries).toBe(1);
    expect(tier.state).toEqual({ state: 'on' });
  });

  it('makes memory throw, as memory would', () => {
    const life = new LifeClock(new FakeClock());
    const memory = new MemoryTier({ lanes: resolveLanes(), codec: new ValueCodec(), life, evicted: () => {} });
    expect(() => chaosTier(memory, { failRate: 1 }).read('docs', 'k')).toThrow(ChaosError);
  });

  it('fails about that share of calls, the same ones for the same seed', async () => {
    const { tier } = await diskUnder({ failRate: 0.3, seed: 42 });
    const first = await failures(tier);
    tier.setPlan({ failRate: 0.3, seed: 42 });
    expect(await failures(tier)).toEqual(first);
    tier.setPlan({ failRate: 0.3, seed: 43 });
    expect(await failures(tier)).not.toEqual(first);
    expect(first.length).toBeGreaterThan(30);
    expect(first.length).toBeLessThan(90);
  });

  it('ends with the plan', async () => {
    const { tier } = await diskUnder({ failRate: 1 });
    tier.setPlan({});
    expect(await tier.read('docs', 'k')).toMatchObject({ outcome: 'hit' });
  });
});

describe('hang and delay', () => {
  it('never answer, or not before their time', async () => {
    const { tier, clock } = await diskUnder({ hang: true });
    const settled: string[] = [];
    const note = (name: string) => (): void => void settled.push(name);
    Promise.resolve(tier.read('docs', 'k')).then(note('hung'), note('hung'));
    tier.setPlan({ delayMs: 100 });
    Promise.resolve(tier.read('docs', 'k')).then(note('late'), note('failed'));
    await clock.advance('99ms');
    expect(settled).toEqual([]);
    await clock.advance('1h');
    expect(settled).toEqual(['late']);
  });

  it('keep the order of calls', async () => {
    const { tier, clock } = await diskUnder({ delayMs: 100 });
    const written = tier.write('docs', recordOf('other'));
    const removed = tier.remove('docs', 'other');
    await clock.advance('100ms');
    await written;
    expect(await removed).toBe(true);
  });
});

describe('corruptRate', () => {
  it('flips one bit of what is read, and leaves the stored bytes sound', async () => {
    const { tier, sound } = await diskUnder({ corruptRate: 1 });
    const found = await tier.read('docs', 'k');
    if (found.outcome !== 'hit') throw new Error(found.outcome);
    const flipped = found.record.bytes.map((byte, index) => byte ^ (RECORD.bytes[index] ?? 0)).filter(Boolean);
    expect(flipped).toHaveLength(1);
    expect(Math.log2(flipped[0] ?? 0) % 1).toBe(0);
    expect(found.record).not.toHaveProperty('opened');
    const stored = await sound.read('docs', 'k');
    expect(stored.outcome === 'hit' && Buffer.from(stored.record.bytes).equals(RECORD.bytes)).toBe(true);
  });

  it('leaves a miss a miss', async () => {
    const { tier } = await diskUnder({ corruptRate: 1 });
    expect(await tier.read('docs', 'none')).toEqual({ outcome: 'miss' });
  });
});

describe('the calls a tier may lack', () => {
  it('are there only where the tier has them', async () => {
    const { tier, sound } = await diskUnder({});
    expect(typeof tier.offer).toBe(typeof sound.offer);
    expect(typeof tier.peek).toBe(typeof sound.peek);
  });

  it('accept values that are never stored, while the tier hangs', async () => {
    const { tier, sound } = await diskUnder({ hang: true });
    expect(tier.offer?.('docs', recordOf('other'))).toBe('queued');
    await sound.flush();
    expect(await sound.read('docs', 'other')).toEqual({ outcome: 'miss' });
  });
});
