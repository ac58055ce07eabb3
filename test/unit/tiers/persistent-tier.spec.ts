import { describe, expect, it } from '@jest/globals';
import { LaneEviction } from '../../../lib/eviction/lane-eviction.js';
import { EMPTY_LOG } from '../../../lib/invalidation/journal.js';
import { StorageFault } from '../../../lib/storage/environment.js';
import { PersistentTier } from '../../../lib/tiers/persistent-tier.js';
import { DiskTier } from '../../../lib/tiers/stored-tier.js';
import { MemorySource } from '../../support/memory-environment.js';
import { recordOf, tierSetting, type TierSetting } from '../../support/stored-tiers.js';

interface Bench extends TierSetting {
  readonly tier: PersistentTier;
  readonly source: MemorySource;
}

async function setUp(source = new MemorySource()): Promise<Bench> {
  const setting = tierSetting();
  return { ...setting, source, tier: await PersistentTier.open(source, setting.options) };
}

const outcome = async (tier: PersistentTier): Promise<string> => (await tier.read('standard', 'k')).outcome;

describe('the journal', () => {
  it('is empty in a fresh folder', async () => {
    const { tier } = await setUp();
    expect(tier.initial).toMatchObject({ ...EMPTY_LOG });
  });

  it('is found again after a restart, with the entries', async () => {
    const { tier, source, clock } = await setUp();
    await tier.append([
      { row: 'ceiling', position: 65_536 },
      { row: 'tag', tag: 'red', position: 3 },
      { row: 'tag', tag: 'gone', position: 1 },
      { row: 'expired-tag', tag: '\ud800', position: 4, at: 99 },
      { row: 'clear', lane: 'docs', position: 5 },
    ]);
    await tier.write('standard', recordOf('k'));
    await tier.append([
      { row: 'tag-floor', position: 2, dropped: ['gone'] },
      { row: 'expire-floor', position: 1, dropped: [] },
    ]);
    await tier.close();
    const { tier: again } = await setUp(source);
    expect(again.initial).toMatchObject({
      ceiling: 65_536,
      tagFloor: 2,
      expireFloor: 1,
      tagAt: new Map([['red', 3]]),
      expiredTagAt: new Map([['\ud800', { position: 4, at: 99 }]]),
      clearAt: new Map([['docs', 5]]),
      latestTime: clock.now(),
    });
    expect(await outcome(again)).toBe('hit');
    expect(again.generation).toBe(tier.generation);
  });

  it('is in order with entries: all before it is stored when it is', async () => {
    const { tier, source } = await setUp();
    tier.offer('standard', recordOf('k'));
    await tier.append([{ row: 'ceiling', position: 10 }]);
    expect(source.folder.tables.get('records')?.rows).toHaveLength(1);
  });

  it('voids a folder that has entries and no generation', async () => {
    const { tier, source } = await setUp();
    await tier.write('standard', recordOf('k'));
    await tier.close();
    source.folder.tables.get('log')?.delete('generation');
    const { tier: again } = await setUp(source);
    expect(again.state).toEqual({ state: 'on' });
    expect(await outcome(again)).toBe('miss');
    expect(source.discarded).toBe(1);
  });
});

describe('voiding', () => {
  it('leaves nothing to read, starts another generation, and keeps the ceiling', async () => {
    const { tier, source } = await setUp();
    const before = tier.generation;
    await tier.append([{ row: 'ceiling', position: 500 }]);
    await tier.write('standard', recordOf('k'));
    await Promise.all([tier.invalidateAll(), tier.invalidateAll()]);
    expect(await outcome(tier)).toBe('miss');
    expect(tier.generation).not.toBe(before);
    await tier.close();
    const { tier: again } = await setUp(source);
    expect(again.initial.ceiling).toBe(500);
    expect(source.discarded).toBe(1);
  });

  it('resolves once the folder is away, even if a new one cannot be opened yet', async () => {
    const { tier, source, clock } = await setUp();
    await tier.write('standard', recordOf('k'));
    source.openFault = new StorageFault('disk-full', 'no space');
    await tier.invalidateAll();
    expect(tier.state).toEqual({ state: 'off', reason: 'disk-full' });
    expect(await tier.remove('standard', 'k')).toBe(false);
    await tier.append([{ row: 'ceiling', position: 900 }]);
    source.openFault = undefined;
    await clock.advance('60s');
    expect(await outcome(tier)).toBe('miss');
    await tier.close();
    const { tier: again } = await setUp(source);
    expect(again.initial.ceiling).toBe(900);
  });

  it('rejects when the folder cannot be set aside, and nothing is served', async () => {
    const { tier, source } = await setUp();
    await tier.write('standard', recordOf('k'));
    source.environment.fault = new StorageFault('io', 'broken');
    source.discardFault = new Error('not permitted');
    await expect(tier.append([{ row: 'ceiling', position: 1 }])).rejects.toMatchObject({ kind: 'io' });
    await expect(tier.invalidateAll()).rejects.toThrow('not permitted');
    expect(await outcome(tier)).toBe('off');
    await expect(tier.remove('standard', 'k')).rejects.toBeInstanceOf(StorageFault);
  });

  it('gives up writes that were waiting', async () => {
    const { tier } = await setUp();
    const written = tier.write('standard', recordOf('k'));
    const voided = tier.invalidateAll();
    await expect(written).rejects.toBeInstanceOf(StorageFault);
    await voided;
    expect(tier.usage('standard').entries).toBe(0);
  });
});

describe('not being the owner', () => {
  it('is off, refuses what it cannot promise, and serves once it is attached', async () => {
    const { tier: owner, source } = await setUp();
    await owner.append([{ row: 'ceiling', position: 7 }]);
    await owner.write('standard', recordOf('k'));
    await owner.close();
    const { options, events } = tierSetting();
    const tier = PersistentTier.unattached(options);
    tier.hold('in-use');
    expect(await tier.read('standard', 'k')).toEqual({ outcome: 'off', reason: 'in-use' });
    await expect(tier.remove('standard', 'k')).rejects.toBeInstanceOf(StorageFault);
    await expect(tier.append([])).rejects.toBeInstanceOf(StorageFault);
    await expect(tier.invalidateAll()).rejects.toBeInstanceOf(StorageFault);
    await tier.attach(source);
    expect(await outcome(tier)).toBe('hit');
    expect(tier.initial.ceiling).toBe(7);
    expect(events.states).toEqual(['on']);
  });

  it.each(['before', 'while'])(
    'serves nothing that was there when something was invalidated %s it was attached',
    async (when) => {
      const { tier: owner, source } = await setUp();
      await owner.write('standard', recordOf('k'));
      await owner.close();
      const tier = PersistentTier.unattached(tierSetting().options);
      if (when === 'before') tier.missed();
      const open = source.open.bind(source);
      const opened = source.opened;
      source.open = (report) => {
        if (when === 'while' && source.opened === opened) tier.missed();
        return open(report);
      };
      await tier.attach(source);
      expect(await outcome(tier)).toBe('miss');
      expect(source.discarded).toBe(1);
    },
  );

  it.each([
    ['less than that', true, 'hit', 0],
    ['more than that', false, 'miss', 1],
  ])(
    'asks what is known of the directory: a folder that has missed %s (%s) is a %s',
    async (_missed, isKnown, found, discarded) => {
      const { tier: owner, source } = await setUp();
      await owner.append([{ row: 'place', generation: 'ab', position: 8, checksum: 1 }]);
      await owner.write('standard', recordOf('k'));
      await owner.close();
      const tier = PersistentTier.unattached(tierSetting().options);
      const asked: (number | undefined)[] = [];
      const knows = (place: { readonly position: number } | undefined): boolean => {
        asked.push(place?.position);
        return isKnown;
      };
      tier.follows({ knows, place: { generation: 'ab', position: 99, checksum: 2 } });
      await tier.attach(source);
      expect(await outcome(tier)).toBe(found);
      expect(source.discarded).toBe(discarded);
      expect(asked).toEqual([8]);
    },
  );

  it('notes in a new folder how far the directory has come, and leaves what an older folder says', async () => {
    const source = new MemorySource();
    const asked: (number | undefined)[] = [];
    for (const position of [8, 99, 100]) {
      const tier = PersistentTier.unattached(tierSetting().options);
      tier.follows({
        knows: (place) => {
          asked.push(place?.position);
          return true;
        },
        place: { generation: 'ab', position, checksum: 1 },
      });
      await tier.attach(source);
      await tier.write('standard', recordOf('k'));
      await tier.close();
    }
    // The first folder is new, and nothing is asked of it.
    expect(asked).toEqual([8, 8]);
  });

  it('rules the evictions of an adaptive lane, also beside L2', async () => {
    const { options } = tierSetting();
    const eviction = new LaneEviction({ now: () => 0, mode: 'rule', compresses: false });
    const lanes = new Map(
      [...options.lanes].map(([lane, { policy }]) => [lane, { policy, strategy: undefined, eviction }] as const),
    );
    const l3 = await PersistentTier.open(new MemorySource(), { ...options, lanes });
    const l2 = await DiskTier.open(new MemorySource(), { ...options, lanes });
    expect(['l2', 'l3'].map((each) => eviction.keeperOf(each).order)).toEqual(['lru', 'named']);
    await Promise.all([l2.close(), l3.close()]);
  });
});

describe('being opened', () => {
  it('keeps the ceiling over lives in which nothing was invalidated', async () => {
    const source = new MemorySource();
    const ceilings: number[] = [];
    for (let life = 0; life < 3; life++) {
      const { tier } = await setUp(source);
      ceilings.push(tier.initial.ceiling);
      if (life === 0) await tier.append([{ row: 'ceiling', position: 7 }]);
      await tier.close();
    }
    expect(ceilings).toEqual([0, 7, 7]);
  });

  it('serves nothing when it is closed meanwhile', async () => {
    const { tier: owner, source } = await setUp();
    await owner.write('standard', recordOf('k'));
    await owner.close();
    const { options, events } = tierSetting();
    const tier = PersistentTier.unattached(options);
    const open = source.open.bind(source);
    let closing: Promise<void> | undefined;
    source.open = (report) => {
      closing = tier.close();
      return open(report);
    };
    await tier.attach(source);
    await closing;
    expect(await tier.read('standard', 'k')).toEqual({ outcome: 'off', reason: 'closed' });
    expect(tier.offer('standard', recordOf('l'))).toBe('off');
    expect(source.environment.isOpen).toBe(false);
    expect(events.states).toEqual(['off closed']);
  });
});

describe('the listener of the opened store', () => {
  const filled = async (): Promise<MemorySource> => {
    const { tier, source } = await setUp();
    await tier.append([{ row: 'tag', tag: 'red', position: 9 }]);
    await tier.close();
    return source;
  };

  it('is called before anything is served, when the process becomes the owner', async () => {
    const tier = PersistentTier.unattached(tierSetting().options);
    const heard: unknown[] = [];
    tier.whenFound(() => heard.push([tier.state.state, tier.initial.tagAt.get('red')]));
    await tier.attach(await filled());
    expect(heard).toEqual([['off', 9]]);
    expect(tier.isFollowed).toBe(true);
  });

  it('is called when the folder could be opened only later', async () => {
    const source = await filled();
    source.openFault = new StorageFault('io', 'broken');
    const { options, clock, events } = tierSetting();
    const tier = await PersistentTier.open(source, options);
    const heard: unknown[] = [];
    tier.whenFound(() => heard.push(tier.initial.tagAt.get('red')));
    source.openFault = undefined;
    await clock.advance('60s');
    expect(heard).toEqual([9]);
    expect(events.states).toEqual(['off breaker', 'on']);
  });

  it('is left alone with what it knows already, and by an empty folder', async () => {
    const { tier, source, clock } = await setUp(await filled());
    let heard = 0;
    tier.whenFound(() => heard++);
    source.environment.fault = new StorageFault('disk-full', 'no space');
    await expect(tier.write('standard', recordOf('k'))).rejects.toBeInstanceOf(StorageFault);
    source.environment.fault = undefined;
    await clock.advance('60s');
    expect(tier.state).toEqual({ state: 'on' });
    await tier.invalidateAll();
    expect([tier.state.state, heard]).toEqual(['on', 0]);
  });
});
