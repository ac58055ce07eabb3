import { describe, expect, it } from '@jest/globals';
import { RecordReader } from '../../../lib/entries/record.js';
import { ValueCodec } from '../../../lib/entries/codec/value-codec.js';
import { LaneEviction } from '../../../lib/eviction/lane-eviction.js';
import { StorageFault } from '../../../lib/storage/environment.js';
import { DiskTier } from '../../../lib/tiers/stored-tier.js';
import type { TierLookup } from '../../../lib/tiers/tier.js';
import { MemorySource } from '../../support/memory-environment.js';
import { recordOf, tierSetting, type TierSetting } from '../../support/stored-tiers.js';
import type { LanePolicyInput } from '../../../lib/lanes/policy.js';

interface Bench extends TierSetting {
  readonly tier: DiskTier;
  readonly source: MemorySource;
}

async function setUp(lanes: Readonly<Record<string, LanePolicyInput>> = {}): Promise<Bench> {
  const setting = tierSetting(lanes);
  const source = new MemorySource();
  return { ...setting, source, tier: await DiskTier.open(source, setting.options) };
}

const outcome = async ({ tier }: Bench, key: string, lane = 'standard'): Promise<string> => {
  const found = await tier.read(lane, key);
  return found.outcome === 'off' ? `off ${found.reason}` : found.outcome;
};

describe('serving', () => {
  it('gives back the record it was given', async () => {
    const { tier } = await setUp();
    const record = recordOf('k', { tags: ['t'], birth: 3 });
    await tier.write('standard', record);
    const found = await tier.read('standard', 'k');
    expect(found).toMatchObject({
      outcome: 'hit',
      record: { key: 'k', tags: ['t'], birth: 3, expiresAt: record.expiresAt },
    });
    expect(tier.usage('standard')).toEqual({ entries: 1, sizeBytes: record.bytes.length });
  });

  it.each([
    ['is read at once', 10],
    ['takes time to expand', 300 * 1024],
  ])('has nothing any more once a record that %s has ended', async (_how, bytes) => {
    const bench = await setUp();
    const value = Buffer.alloc(bytes, 'docs ');
    await bench.tier.write('docs', recordOf('k', { value, expiresAt: bench.clock.now() + 1_000 }));
    expect(bench.tier.read('docs', 'k') instanceof Promise).toBe(bytes > 10);
    expect(await outcome(bench, 'k', 'docs')).toBe('hit');
    await bench.clock.advance('1s');
    expect(await outcome(bench, 'k', 'docs')).toBe('miss');
  });

  it('is off in a lane whose policy turns it off', async () => {
    const bench = await setUp({ memory: { l2: { enabled: false } } });
    await bench.tier.write('memory', recordOf('k'));
    expect(bench.tier.offer('memory', recordOf('k'))).toBe('off');
    expect(await outcome(bench, 'k', 'memory')).toBe('off policy');
    expect(await bench.tier.remove('memory', 'k')).toBe(false);
  });

  it('lists and sweeps, and counts the removed entries', async () => {
    const { tier, clock, counts, events } = await setUp({ standard: { l2: { maxEntries: 2 } } });
    tier.offer('standard', recordOf('1'));
    tier.offer('standard', recordOf('2', { expiresAt: clock.now() + 10 }));
    tier.offer('standard', recordOf('3'));
    await tier.flush();
    await clock.advance('1s');
    expect(await tier.sweep('standard')).toEqual({ expired: 1, evicted: 0 });
    const keys: string[] = [];
    for await (const key of tier.keys('standard')) keys.push(key);
    expect(keys).toEqual(['3']);
    expect([counts.evictions, counts.expirations]).toEqual([1, 1]);
    expect(events.evicted.map(({ key, reason }) => `${key} ${reason}`)).toEqual(['1 entries', '2 expired']);
  });

  it('hands the strategy what it needs to know', async () => {
    const asked: unknown[] = [];
    const strategy = {
      shouldCache: () => true,
      getEvictionPriority: (lane: string, entry: unknown) => asked.push({ lane, entry }),
    };
    const { tier, clock } = await setUp({ standard: { l2: { maxEntries: 1 }, strategy } });
    await tier.write('standard', recordOf('1', { tags: ['t'], computeMs: 42, expiresAt: clock.now() + 60_000 }));
    await clock.advance('10s');
    void tier.read('standard', '1');
    await tier.flush();
    await clock.advance('5s');
    await tier.write('standard', recordOf('2'));
    expect(asked[0]).toMatchObject({
      lane: 'standard',
      entry: { key: '1', tags: ['t'], tier: 'l2', computeMs: 42, accessCount: 1, idleMs: 5_000, remainingMs: 45_000 },
    });
  });
});

describe('failing', () => {
  it('reports the reason once, and recovers by itself with its entries', async () => {
    const bench = await setUp();
    const { tier, source, events, clock, counts } = bench;
    await tier.write('standard', recordOf('k'));
    source.environment.fault = new StorageFault('disk-full', 'no space');
    await expect(
      Promise.all([tier.write('standard', recordOf('l')), tier.write('standard', recordOf('m'))]),
    ).rejects.toMatchObject({ kind: 'disk-full' });
    expect(await outcome(bench, 'k')).toBe('off disk-full');
    await tier.write('standard', recordOf('n'));
    await clock.advance('5s');
    expect(events.states).toEqual(['off disk-full']);
    expect(counts.errors).toBeGreaterThan(0);
    source.environment.fault = undefined;
    await clock.advance('60s');
    expect(events.states).toEqual(['off disk-full', 'on']);
    expect(await outcome(bench, 'k')).toBe('hit');
    expect(await outcome(bench, 'l')).toBe('miss');
    expect(tier.usage('standard').entries).toBe(1);
    expect(source.discarded).toBe(0);
  });

  it('hands the evictions of an adaptive lane up while it is off, and knows its entries again when it is back', async () => {
    const setting = tierSetting();
    const eviction = new LaneEviction({ now: () => setting.clock.now(), mode: 'rule', compresses: false });
    const resolved = setting.options.lanes.get('standard');
    if (resolved === undefined) throw new Error('no lane');
    const lanes = new Map([['standard', { policy: resolved.policy, strategy: undefined, eviction }]]);
    eviction.serves('l1', { maxEntries: 10, maxBytes: 1e6, rank: 1, mostInBooks: 100 });
    const source = new MemorySource();
    const tier = await DiskTier.open(source, { ...setting.options, lanes });
    const ruler = (): string | undefined => ['l1', 'l2'].find((each) => eviction.keeperOf(each).order === 'named');
    expect(ruler()).toBe('l2');
    await tier.write('standard', recordOf('k'));
    source.environment.fault = new StorageFault('disk-full', 'no space');
    await expect(tier.write('standard', recordOf('l'))).rejects.toMatchObject({ kind: 'disk-full' });
    expect(ruler()).toBe('l1');
    source.environment.fault = undefined;
    const learnt = new Promise<void>((resolve) => eviction.whenLearnt(resolve));
    await setting.clock.advance('60s');
    await learnt;
    expect(ruler()).toBe('l2');
    expect(eviction.best(5)).toEqual(['k']);
  });

  it('serves nothing of what it held once a removal was lost', async () => {
    const bench = await setUp();
    const { tier, source, clock } = bench;
    await tier.write('standard', recordOf('k'));
    source.environment.fault = new StorageFault('io', 'broken');
    await expect(tier.remove('standard', 'k')).rejects.toMatchObject({ kind: 'io' });
    await expect(tier.clear('standard')).rejects.toBeInstanceOf(StorageFault);
    source.environment.fault = undefined;
    await clock.advance('60s');
    expect(tier.state).toEqual({ state: 'on' });
    expect(await outcome(bench, 'k')).toBe('miss');
    expect(source.discarded).toBe(1);
    await tier.write('standard', recordOf('k'));
    expect(await outcome(bench, 'k')).toBe('hit');
  });

  it('serves no older value of a key that was lost, or was replaced or removed while it was off', async () => {
    const { tier, source, clock } = await setUp();
    const keys = ['lost', 'refused', 'removed', 'kept', 'rewritten'];
    for (const key of keys) await tier.write('standard', recordOf(key));
    source.environment.fault = new StorageFault('disk-full', 'no space');
    await expect(tier.write('standard', recordOf('lost'))).rejects.toMatchObject({ kind: 'disk-full' });
    expect(tier.offer('standard', recordOf('refused'))).toBe('disk-full');
    expect(tier.offer('standard', recordOf('rewritten'))).toBe('disk-full');
    tier.supersede('standard', 'removed');
    source.environment.fault = undefined;
    await clock.advance('60s');
    expect(tier.state).toEqual({ state: 'on' });
    expect(tier.offer('standard', recordOf('rewritten', { value: 'newer' }))).toBe('queued');
    const reader = new RecordReader(new ValueCodec());
    const looks: readonly ((key: string) => TierLookup | Promise<TierLookup>)[] = [
      (key) => tier.read('standard', key),
      (key) => tier.readValue('standard', key, reader),
      (key) => tier.peek('standard', key),
    ];
    const expectNewest = async (): Promise<void> => {
      for (const look of looks) {
        const found = await Promise.all(keys.map(async (key) => look(key)));
        expect(found.map((each) => each.outcome)).toEqual(['miss', 'miss', 'miss', 'hit', 'hit']);
      }
    };
    await expectNewest();
    await tier.flush();
    await expectNewest();
    expect(tier.usage('standard').entries).toBe(2);
    expect(source.discarded).toBe(0);
  });

  it('serves no older value of a key whose newer one had to be refused, because too much waits', async () => {
    const bench = await setUp({ standard: { maxEntryBytes: '64MB' } });
    const { tier } = bench;
    await tier.write('standard', recordOf('k'));
    const large = new Uint8Array(33 * 1024 * 1024);
    expect(tier.offer('standard', recordOf('one', { value: large }))).toBe('queued');
    expect(tier.offer('standard', recordOf('two', { value: large }))).toBe('queued');
    expect(tier.offer('standard', recordOf('k', { value: 'newer' }))).toBe('backlog');
    expect(await outcome(bench, 'k')).toBe('miss');
    await tier.flush();
    expect(await outcome(bench, 'k')).toBe('miss');
  });

  it('starts afresh once it has missed more newer values than it remembers', async () => {
    const bench = await setUp();
    const { tier, source, clock } = bench;
    await tier.write('standard', recordOf('k'));
    source.environment.fault = new StorageFault('disk-full', 'no space');
    await expect(tier.write('standard', recordOf('l'))).rejects.toMatchObject({ kind: 'disk-full' });
    const record = recordOf('any');
    for (let n = 0; n < 65_537; n++) tier.offer('standard', { ...record, key: `key ${n}` });
    tier.offer('standard', recordOf('k'));
    source.environment.fault = undefined;
    await clock.advance('60s');
    expect(await outcome(bench, 'k')).toBe('miss');
    expect(source.discarded).toBe(1);
  });

  it('a sweep that fails changes only the state of the tier', async () => {
    const { tier, source } = await setUp();
    await tier.write('standard', recordOf('k', { expiresAt: 1 }));
    source.environment.fault = new StorageFault('io', 'broken');
    expect(await tier.sweep('standard')).toEqual({ expired: expect.any(Number), evicted: 0 });
    expect(tier.state).toEqual({ state: 'off', reason: 'breaker' });
  });

  it('does not serve while the folder cannot be discarded', async () => {
    const bench = await setUp();
    const { tier, source, clock } = bench;
    await tier.write('standard', recordOf('k'));
    source.discardFault = new Error('not permitted');
    await expect(tier.discard()).rejects.toThrow('not permitted');
    await clock.advance('30s');
    expect(await outcome(bench, 'k')).toBe('off quarantined');
    source.discardFault = undefined;
    await clock.advance('60s');
    expect(await outcome(bench, 'k')).toBe('miss');
  });

  it('is off from the start when the folder cannot be opened, and tries again', async () => {
    const setting = tierSetting();
    const source = new MemorySource();
    source.openFault = new StorageFault('not-permitted', 'EACCES');
    const tier = await DiskTier.open(source, setting.options);
    expect(tier.state).toEqual({ state: 'off', reason: 'read-only' });
    source.openFault = undefined;
    await setting.clock.advance('1s');
    expect(tier.state).toEqual({ state: 'on' });
  });

  it('starts afresh after a read found the folder damaged', async () => {
    const bench = await setUp();
    await bench.tier.write('standard', recordOf('k'));
    bench.source.report?.fault('damaged', 'a page', new Error('MDB_CORRUPTED'));
    expect(await outcome(bench, 'k')).toBe('off quarantined');
    await bench.clock.advance('1s');
    expect(await outcome(bench, 'k')).toBe('miss');
    expect(bench.source.discarded).toBe(1);
  });

  it('starts afresh when the folder turns out to be gone while the tier is away', async () => {
    const bench = await setUp();
    const { tier, source, clock, events } = bench;
    source.environment.fault = new StorageFault('read-only', 'no changes');
    await expect(tier.write('standard', recordOf('k'))).rejects.toMatchObject({ kind: 'read-only' });
    source.environment.fault = new StorageFault('gone', 'another volume lies there');
    for (let n = 0; n < 5; n++) await clock.advance('1s');
    expect([source.discarded, tier.state.state]).toEqual([1, 'on']);
    expect(events.states).toEqual(['off read-only', 'on']);
  });

  it('reports once why it is off, for any number of failed attempts to empty it', async () => {
    const { tier, source, events } = await setUp();
    await tier.write('standard', recordOf('k'));
    source.discardFault = new StorageFault('read-only', 'no changes');
    for (let n = 0; n < 5; n++) await expect(tier.discard()).rejects.toMatchObject({ kind: 'read-only' });
    expect(events.states).toEqual(['off read-only']);
  });

  it('that was emptied on a full disk waits before it is written to again', async () => {
    const { tier, source, events, clock } = await setUp();
    source.environment.fault = new StorageFault('disk-full', 'no space');
    await expect(tier.write('standard', recordOf('k'))).rejects.toMatchObject({ kind: 'disk-full' });
    for (let n = 0; n < 5; n++) await tier.discard();
    expect([events.states, await tier.remove('standard', 'k')]).toEqual([['off disk-full'], false]);
    await clock.advance('1s');
    expect(events.states).toEqual(['off disk-full', 'on']);
  });

  it('starts empty without a warning when configured to', async () => {
    const bench = await setUp();
    await bench.tier.discard();
    expect([bench.source.opened, bench.tier.state.state]).toEqual([2, 'on']);
    expect(bench.events.states).toEqual([]);
  });
});

describe('closing', () => {
  it('writes what was accepted, then reads nothing and takes nothing', async () => {
    const bench = await setUp();
    const { tier, source } = bench;
    tier.offer('standard', recordOf('k'));
    await Promise.all([tier.close(), tier.close()]);
    expect(source.folder.tables.get('records')?.rows).toHaveLength(1);
    expect(await outcome(bench, 'k')).toBe('off closed');
    await tier.write('standard', recordOf('l'));
    await tier.flush();
    expect(source.environment.isOpen).toBe(false);
  });

  it('ends by its deadline when the disk hangs', async () => {
    const { tier, source, clock } = await setUp();
    source.environment.gate = new Promise(() => undefined);
    tier.offer('standard', recordOf('k'));
    const closed = tier.close();
    await clock.advance('4s');
    await closed;
    expect(tier.state).toEqual({ state: 'off', reason: 'closed' });
    expect(clock.pending).toBe(0);
  });
});
