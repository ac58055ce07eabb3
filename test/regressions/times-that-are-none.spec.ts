import { afterEach, describe, expect, it } from '@jest/globals';
import type { Clock } from '../../lib/clock/clock.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { ValueCodec } from '../../lib/entries/codec/value-codec.js';
import { decodeRecord, encodeRecord, RecordReader } from '../../lib/entries/record.js';
import { createLaneCache } from '../../lib/app/cache-app.js';

/** Its steady time does not grow by milliseconds any more, once it is broken. */
function breakableClock(): Clock & { break(at: number): void } {
  const clock = new FakeClock();
  const broken: { at?: number } = {};
  return {
    now: () => clock.now(),
    monotonic: () => broken.at ?? clock.monotonic(),
    schedule: (afterMs, run) => clock.schedule(afterMs, run),
    break: (at) => void (broken.at = at),
  };
}

describe('a compute time that is no time', () => {
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  it.each([Infinity, NaN, -1])('of %p leaves the sums of a lane numbers', async (at) => {
    const clock = breakableClock();
    const app = await createLaneCache({ directory: false, clock, logger: false });
    closing.push(() => app.close());
    const cache = app.manager();
    const compute = async (): Promise<string> => {
      clock.break(at);
      return 'value';
    };
    await cache.getOrSet('k', compute);
    await cache.getOrSet('k', compute);
    const { timeSavedRate, timeSavedMs, avgComputeMs, speedUp } = cache.getMetrics();
    expect({ timeSavedRate, timeSavedMs, avgComputeMs, speedUp }).toEqual({
      timeSavedRate: 0,
      timeSavedMs: 0,
      avgComputeMs: 0,
      speedUp: 1,
    });
  });

  it.each([Infinity, NaN, -1])('of %p in an entry of another process counts as none', (computeMs) => {
    const codec = new ValueCodec();
    const encoded = codec.encode('value');
    if (!encoded.storable) throw new Error(encoded.reason);
    const times = { birth: 0, storedAt: 0, expiresAt: 1, staleUntil: 1, computeMs };
    const fields = { key: 'k', tags: [], ...times, appVersion: '', schemaVersion: 0, value: encoded.bytes };
    const bytes = Buffer.from(encodeRecord(fields));
    expect(decodeRecord(bytes).computeMs).toBe(0);
    expect(new RecordReader(codec).read(bytes, 'k')?.computeMs).toBe(0);
  });
});
