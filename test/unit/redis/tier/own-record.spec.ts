import { describe, expect, it } from '@jest/globals';
import { decodeRecord, encodeRecord } from '../../../../lib/entries/record.js';
import { OwnRecord } from '../../../../lib/redis/tier/lookups.js';
import { ServerTime } from '../../../../lib/redis/shared-log/freshness.js';

const FIELDS = {
  ...{ key: 'k', tags: ['t'], birth: 7, storedAt: 1_000, expiresAt: 5_000, staleUntil: 9_000, computeMs: 5 },
  ...{ appVersion: 'v', schemaVersion: 2, value: Buffer.from('value') },
};
const record = decodeRecord(encodeRecord(FIELDS));

describe('a record of the server', () => {
  it('has its birth here, and ends when the server drops it', () => {
    const own = new OwnRecord(record, 99, 8_000);
    expect(own).toMatchObject({ birth: 99, expiresAt: 4_000, staleUntil: 8_000, tags: ['t'] });
    expect(own.found).toMatchObject({ birth: 99, expiresAt: 8_000, computeMs: 5 });
  });

  it('lives no longer than its own ttl, whatever the server does', () => {
    expect(new OwnRecord(record, 99, 90_000)).toMatchObject({ expiresAt: 5_000, staleUntil: 9_000 });
  });

  it('has the same content in the bytes that other tiers store', () => {
    const own = new OwnRecord(record, 99, 8_000);
    const { bytes } = own.found;
    expect(decodeRecord(bytes)).toMatchObject({ ...FIELDS, birth: 99, expiresAt: 4_000, staleUntil: 8_000 });
    expect(own.bytes).toBe(bytes);
  });
});

describe("the server's clock", () => {
  it('is never seen behind what it shows, for the way that its word takes', () => {
    const time = new ServerTime();
    // asked at 100; somewhere on the way the server's clock showed 5,000
    time.observe(100, 5_000, 130);
    expect(time.whenShows(5_000)).toBe(100);
    expect(time.whenShows(6_000)).toBe(1_100);
    time.observe(200, 1_000, 230);
    expect(time.whenShows(6_000)).toBe(5_200);
    expect(time.shownAt(230)).toBe(1_000);
  });
});
