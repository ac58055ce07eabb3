import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { createLaneCache, type LaneCacheApp } from '../../lib/app/cache-app.js';
import { join } from 'node:path';
import { systemClock, type Clock } from '../../lib/clock/clock.js';
import { IpcConnection } from '../../lib/ipc/client.js';
import { decodeHead, encodeHead, encodeOffer, type FrameHead } from '../../lib/ipc/entry-frames.js';
import { turnNameOf } from '../../lib/ipc/turn-table.js';
import { ValueCodec } from '../../lib/entries/codec/value-codec.js';
import { encodeRecord, RecordReader } from '../../lib/entries/record.js';
import { tierContract } from '../../lib/testing/tier-contract.js';
import { FoundRecord, type Tier, type TierLookup, type TierRecord } from '../../lib/tiers/tier.js';
import { Deferred } from '../support/deferred.js';
import { until } from '../support/gate.js';
import { slowClock } from '../support/slow-clock.js';
import { StorageBench } from '../support/storage.js';
import { recordOf } from '../support/stored-tiers.js';

/**
 * L3 as one process writes and reads it through another one, which owns it and removes, counts and lists. What is read has
 * the birth of the question, so the birth that was written is put back.
 */
class ThroughTheOwner implements Tier {
  readonly name = 'l3';
  private readonly births = new Map<string, number>();
  private isClosed = false;

  constructor(
    private readonly owner: Tier,
    private readonly other: Tier,
  ) {}

  get state(): Tier['state'] {
    return this.isClosed ? { state: 'off', reason: 'closed' } : this.other.state;
  }

  async read(lane: string, key: string): Promise<TierLookup> {
    if (this.isClosed) return { outcome: 'off', reason: 'closed' };
    return this.withBirth(`${lane} ${key}`, await this.other.read(lane, key));
  }

  async peek(lane: string, key: string): Promise<TierLookup> {
    return this.withBirth(`${lane} ${key}`, (await this.other.peek?.(lane, key)) ?? { outcome: 'miss' });
  }

  async write(lane: string, record: TierRecord): Promise<void> {
    if (this.isClosed) return;
    this.births.set(`${lane} ${record.key}`, record.birth);
    await this.other.write(lane, record);
    await this.other.flush();
  }

  async remove(lane: string, key: string): Promise<boolean> {
    if (this.isClosed) return false;
    await this.other.flush();
    return this.owner.remove(lane, key);
  }

  async removeMatching(lane: string, matches: (key: string, tags: readonly string[]) => boolean): Promise<number> {
    if (this.isClosed) return 0;
    await this.other.flush();
    return this.owner.removeMatching(lane, matches);
  }

  clear(lane: string): Promise<void> {
    return this.owner.clear(lane);
  }

  usage(lane: string): ReturnType<Tier['usage']> {
    return this.owner.usage(lane);
  }

  async *keys(lane: string): AsyncGenerator<string> {
    if (this.isClosed) return;
    await this.other.flush();
    yield* this.other.keys(lane);
  }

  sweep(lane: string): ReturnType<Tier['sweep']> {
    return this.owner.sweep(lane);
  }

  flush(): Promise<void> {
    return this.other.flush();
  }

  async close(): Promise<void> {
    for (const lane of ['standard', 'heavy']) await this.owner.clear(lane);
    this.isClosed = true;
  }

  private withBirth(name: string, lookup: TierLookup): TierLookup {
    const opened = lookup.outcome === 'hit' ? lookup.record.opened : undefined;
    if (lookup.outcome !== 'hit' || opened === undefined) return lookup;
    const { key, tags, storedAt, expiresAt, staleUntil, computeMs, appVersion, schemaVersion, value } = opened;
    const parts = { key, tags, storedAt, expiresAt, staleUntil, computeMs, appVersion, schemaVersion, value };
    const record = { ...parts, birth: this.births.get(name) ?? 0 };
    return { outcome: 'hit', record: new FoundRecord({ ...record, bytes: encodeRecord(record) }) };
  }
}

describe('a process beside the owner of L3', () => {
  const bench = new StorageBench();
  const apps: LaneCacheApp[] = [];
  let directory: string;
  let owner: LaneCacheApp;
  let other: LaneCacheApp;
  beforeAll(async () => {
    directory = await bench.path('cache');
    const open = async (clock: Clock): Promise<LaneCacheApp> => {
      const app = await createLaneCache({ directory, clock, storage: { minFreeBytes: 0, sweepEvery: false } });
      apps.push(app);
      return app;
    };
    owner = await open(systemClock);
    other = await open(slowClock);
  });
  afterAll(async () => {
    for (const app of apps.toReversed()) await app.close();
    await bench.dispose();
  });

  tierContract('l3', async () => new ThroughTheOwner(owner.tiers.l3, other.tiers.l3), { describe, it });

  it("reports as many entries as the owner's L3 has", async () => {
    const entries = (): number => other.tiers.l3.usage('standard').entries;
    await owner.tiers.l3.clear('standard');
    await owner.manager().setMany(['a', 'b', 'c'].map((key) => [key, key]));
    await owner.manager().flush();
    await until(() => entries() === 3);
    expect(other.metrics.lane('standard').l3).toMatchObject({ state: 'on', entries: 3 });
  });

  it('is counted at the owner by what it offers, also where that is refused', async () => {
    const before = owner.metrics.report().host?.offers;
    await other.manager().getOrSet('offered', () => 1);
    await other.manager().flush();
    // As of a place that the owner does not know.
    const connection = await IpcConnection.open(join(directory, 'claims', 'owner.sock'), systemClock, 5_000);
    const head = { id: 1, generation: 'ab'.repeat(16), position: 0, time: 0, server: undefined };
    const stored = new Promise<void>((resolve) => connection.onEntryFrame(() => resolve()));
    const { bytes } = recordOf('offered', { value: Buffer.from('of another history') });
    connection.sendEntryFrame(encodeOffer({ kind: 'offer', ...head }, 'standard', bytes));
    connection.sendEntryFrame(encodeHead({ kind: 'sync', ...head }));
    await stored;
    connection.close();
    const { taken = 0, refused = 0 } = before ?? {};
    expect(owner.metrics.report().host?.offers).toEqual({ taken: taken + 1, refused: refused + 1 });
    // It may have been newer than what the owner had.
    expect(await owner.tiers.l3.read('standard', 'offered')).toEqual({ outcome: 'miss' });
  });

  it('is refused by the owner what it computed in a turn, once another one has had the next turn', async () => {
    const connection = await IpcConnection.open(join(directory, 'claims', 'owner.sock'), systemClock, 5_000);
    const name = turnNameOf('standard', 'in turn');
    const unknown = { id: 1, generation: 'ab'.repeat(16), position: 0, time: 0, server: undefined };
    const head = await new Promise<FrameHead>((resolve) => {
      connection.onEntryFrame((body) => resolve(decodeHead(body)));
      connection.sendEntryFrame(encodeHead({ ...unknown, kind: 'sync' }));
    });
    const offer = async (turn: string): Promise<string> => {
      const stored = new Promise<void>((resolve) => connection.onEntryFrame(() => resolve()));
      const { bytes } = recordOf('in turn', { value: Buffer.from(`of ${turn}`) });
      connection.sendEntryFrame(encodeOffer({ ...head, kind: 'offer' }, 'standard', bytes, turn));
      connection.sendEntryFrame(encodeHead({ ...head, kind: 'sync' }));
      await stored;
      const found = await owner.tiers.l3.read('standard', 'in turn');
      return found.outcome === 'hit' ? Buffer.from(found.record.opened?.value ?? []).toString() : found.outcome;
    };
    await connection.call('turns.take', name, 'first');
    expect(await offer('first')).toBe('of first');
    await connection.call('turns.release', name, 'first');
    expect(await offer('first')).toBe('of first');
    await connection.call('turns.take', name, 'second');
    const { refused = 0 } = owner.metrics.report().host?.offers ?? {};
    expect(await offer('first')).toBe('of first');
    expect(await offer('second')).toBe('of second');
    await connection.call('turns.release', name, 'second');
    // Also a holder of whom an earlier owner knew, after a turn of this one.
    for (const turn of ['first', 'of an earlier owner']) expect(await offer(turn)).toBe('of second');
    expect(owner.metrics.report().host?.offers.refused).toBe(refused + 3);
    connection.close();
  });

  it.each<readonly [string, () => Promise<unknown>]>([
    ['its key', () => owner.manager().expire('ending')],
    ['a tag', () => owner.manager().expireByTag('t')],
  ])('gets a value with the end of its life as the owner knows it, after an expiry of %s', async (_what, expire) => {
    await owner.manager().set('ending', 1, { ttl: '1h', grace: '1h', tags: ['t'] });
    await owner.manager().flush();
    await expire();
    await owner.manager().flush();
    const reader = new RecordReader(new ValueCodec());
    const found = [
      await other.tiers.l3.read('standard', 'ending'),
      // It wants no bytes.
      await other.tiers.l3.readValue?.('standard', 'ending', reader),
    ].map((lookup) => (lookup?.outcome === 'hit' ? lookup.record.opened : undefined));
    const [first, second] = found;
    expect(first?.expiresAt).toBeLessThan((first?.storedAt ?? 0) + 3_600_000);
    expect([second?.expiresAt, second?.staleUntil]).toEqual([first?.expiresAt, first?.staleUntil]);
  });

  it.each<readonly [string, () => Promise<unknown>]>([
    ['invalidated', () => owner.manager().invalidate('k')],
    ['expired', () => owner.manager().expire('k')],
  ])('does not get what was %s while the owner read it', async (_how, act) => {
    await owner.manager().set('k', 'old', { grace: '1h' });
    await owner.manager().flush();
    const found = await owner.tiers.l3.read('standard', 'k');
    const reading = new Deferred<TierLookup>();
    const read = jest.spyOn(owner.tiers.l3, 'read').mockReturnValueOnce(reading.promise);
    const asked = other.tiers.l3.read('standard', 'k');
    await until(() => read.mock.calls.length > 0);
    await act();
    reading.resolve(found);
    read.mockRestore();
    expect([found.outcome, await asked]).toEqual(['hit', { outcome: 'miss' }]);
  });

  it('leaves no older value at the owner where it cannot offer a newer one', async () => {
    await owner.manager().set('k', 'old');
    await owner.manager().flush();
    other.tiers.l3.supersede?.('standard', 'k');
    await other.tiers.l3.flush();
    expect(await other.tiers.l3.read('standard', 'k')).toEqual({ outcome: 'miss' });
  });

  it('finds what counts, although the owner has not looked since another record was appended', async () => {
    await owner.manager().set('counts', 1);
    await owner.manager().flush();
    await other.manager().invalidate('something else');
    expect((await other.tiers.l3.read('standard', 'counts')).outcome).toBe('hit');
  });

  it('lists the entries that the owner has in L3, once each, without counting that as use', async () => {
    await owner.manager().setMany(Array.from({ length: 600 }, (_, n) => [`of the owner:${n}`, n]));
    await owner.manager().flush();
    // After an answer that came too late, the owner is not asked for a moment.
    await until(async () => (await other.manager().get('of the owner:7')) !== undefined);
    await other.manager().flush();
    const list = async (): Promise<(readonly [string, readonly string[]])[]> => {
      const all: (readonly [string, readonly string[]])[] = [];
      for await (const { key, tiers } of other.manager().entries('of the owner:*')) all.push([key, tiers]);
      return all;
    };
    let listed: Awaited<ReturnType<typeof list>> = [];
    // What the owner answers too late is left out.
    await until(async () => {
      listed = await list();
      return listed.length >= 600 && listed.every(([, tiers]) => tiers.includes('l3'));
    });
    expect(listed).toHaveLength(600);
    expect(new Map(listed).get('of the owner:7')).toEqual(['l1', 'l2', 'l3']);
    expect(new Map(listed).get('of the owner:8')).toEqual(['l3']);
    const uses = new Map(owner.tiers.l3.rows?.('standard', Infinity, 600)?.map((row) => [row.key, row.accessCount]));
    expect(uses.get('of the owner:8')).toBe(0);
    expect(uses.get('of the owner:7')).toBeGreaterThan(0);
  });

  it('explains and lists what counts now, without another call before', async () => {
    const keysIn = async (app: LaneCacheApp): Promise<string[]> => {
      const keys: string[] = [];
      for await (const { key } of app.manager().entries('listed*')) keys.push(key);
      return keys;
    };
    await other.manager().getOrSet('listed', () => 1);
    await other.manager().getOrSet('listed too', () => 1);
    expect((await keysIn(other)).toSorted()).toEqual(['listed', 'listed too']);
    await owner.manager().invalidate('listed');
    expect(await keysIn(other)).toEqual(['listed too']);
    await owner.manager().invalidate('listed too');
    const { next, tiers } = await other.manager().explain('listed too');
    expect([next, tiers[0]?.status]).toEqual(['compute', 'absent']);
  });
});
