import { describe, expect, it } from '@jest/globals';
import { readHeader, encodeRecord, RecordUnknown } from '../../../../lib/entries/record.js';
import { forged } from '../../../support/record-fields.js';
import { LookUp } from '../../../../lib/redis/tier/lookups.js';
import type { TierLookup } from '../../../../lib/tiers/tier.js';
import { RecordEnvelope, RecordSeal } from '../../../../lib/redis/tier/record-envelope.js';

const recordOf = (bytes: number): Uint8Array =>
  encodeRecord({
    ...{ key: 'k', tags: ['t'], birth: 1, storedAt: 2, expiresAt: 3, staleUntil: 4, computeMs: 5 },
    ...{ appVersion: '', schemaVersion: 0, value: Buffer.alloc(bytes, 'abc') },
  });

const LANES = new Map([
  ['small', { compression: { codec: 'brotli' as const, minBytes: 1_024 }, maxEntryBytes: 100_000, coalesces: false }],
  ['as-is', { compression: undefined, maxEntryBytes: 100_000, coalesces: false }],
]);

describe('records on their way to the server', () => {
  const packing = new RecordEnvelope(LANES, new RecordSeal('secret'));

  it('are compressed where the lane configures it, and come back unchanged', async () => {
    for (const bytes of [10, 5_000, 90_000]) {
      const record = recordOf(bytes);
      const packed = Buffer.from(await packing.pack('small', record));
      expect(packed.length < record.length).toBe(bytes >= 1_024);
      expect((await packing.unpack('small', packed))?.value).toEqual(Buffer.alloc(bytes, 'abc'));
      expect(packing.header('small', packed)).toMatchObject({ key: 'k', tags: ['t'] });
      expect((await packing.pack('as-is', record)).length).toBe(record.length + 32);
    }
  });

  it('packs at once what can be, and sends large values as they are where nothing can be awaited', () => {
    expect(packing.packNow('small', recordOf(5_000)).length).toBeLessThan(1_000);
    expect(packing.packNow('small', recordOf(90_000)).length).toBeGreaterThan(90_000);
  });

  it('are not believed when they claim to be longer than the lane allows', async () => {
    const bomb = Buffer.from(await packing.pack('small', recordOf(2_000_000)));
    expect(bomb.length).toBeLessThan(10_000);
    await expect(async () => packing.unpack('small', bomb)).rejects.toThrow(/more than 100000/);
  });

  it('are unknown if only another release or Node can read them', () => {
    const unsealed = new RecordEnvelope(LANES, new RecordSeal(undefined));
    const packed = forged(recordOf(10), 2, 9);
    expect(() => unsealed.unpack('as-is', packed)).toThrow(RecordUnknown);
    const found: TierLookup[] = [];
    const parts = { packing: unsealed, position: () => 1, serverTime: { whenShows: (at: number) => at } };
    const lookUp = new LookUp(
      { ...parts, log: { outgoing: { unheard: [] } } } as never,
      { lane: 'as-is', key: 'k' },
      (lookup) => found.push(lookup),
    );
    lookUp.found({ birth: 1, goneAt: 2, tags: Buffer.alloc(0), record: packed });
    expect(found).toEqual([{ outcome: 'unreadable' }]);
  });

  it('are not opened without the key, or for another lane', async () => {
    const packed = Buffer.from(await packing.pack('small', recordOf(10)));
    expect(new RecordEnvelope(LANES, new RecordSeal('another')).unpack('small', packed)).toBeUndefined();
    expect(packing.unpack('as-is', packed)).toBeUndefined();
    expect(packing.header('as-is', packed)).toBeUndefined();
    expect(readHeader(packed.subarray(32)).key).toBe('k');
  });
});
