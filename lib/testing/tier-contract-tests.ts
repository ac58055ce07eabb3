import assert from 'node:assert/strict';
import { ValueCodec } from '../entries/codec/value-codec.js';
import { RecordReader } from '../entries/record.js';
import type { Tier, TierLookup } from '../tiers/tier.js';
import {
  assertMiss,
  assertSame,
  hit,
  keysOf,
  LONG_AGO,
  recordIn,
  recordOf,
  remove,
  write,
} from './tier-contract-records.js';

/** One thing that every tier does, and how it is seen. */
export interface ContractTest {
  readonly law: string;
  readonly check: (tier: Tier) => Promise<void>;
}

const LANE = 'standard';
const OTHER_LANE = 'heavy';
const LONGEST_KEY = 64 * 1_024;

const HOSTILE_KEYS: readonly string[] = [
  '\0',
  'a\0b',
  '__proto__',
  'constructor',
  ' ',
  '../../etc/passwd',
  'C:\\con',
  'a/b',
  'a',
  'A',
  '\u00e9',
  'e\u0301',
  '\ud800',
  '\udfff',
  '\ufffd',
  '👍',
  '*',
  'k'.repeat(LONGEST_KEY),
  `${'k'.repeat(LONGEST_KEY - 1)}l`,
];

/** The law, beside a tier's name. */
export const CONTRACT_TESTS: readonly ContractTest[] = [
  {
    law: 'misses what was never written',
    check: async (tier) => {
      await assertMiss(tier, LANE, 'never');
      assert.equal(await remove(tier, LANE, 'never'), false);
      assert.deepEqual(tier.usage(LANE), { entries: 0, sizeBytes: 0 });
    },
  },
  {
    law: 'reads what it wrote, once the write has settled',
    check: async (tier) => {
      const record = recordOf('key', { tags: ['a', 'ü'], birth: 7, computeMs: 12.5 });
      await write(tier, LANE, record);
      assertSame(await hit(tier, LANE, 'key'), record);
    },
  },
  {
    law: 'replaces the record of a key',
    check: async (tier) => {
      await write(tier, LANE, recordOf('key', { text: 'old', tags: ['old'] }));
      const newer = recordOf('key', { text: 'newer and longer', tags: ['new'] });
      await write(tier, LANE, newer);
      assertSame(await hit(tier, LANE, 'key'), newer);
      assert.equal(tier.usage(LANE).entries, 1);
    },
  },
  {
    law: 'says whether there was something to remove',
    check: async (tier) => {
      await write(tier, LANE, recordOf('key'));
      assert.equal(await remove(tier, LANE, 'key'), true);
      assert.equal(await remove(tier, LANE, 'key'), false);
      await assertMiss(tier, LANE, 'key');
    },
  },
  {
    law: 'lets calls take effect in the order in which they were made',
    check: async (tier) => {
      const writes = ['a', 'b', 'c', 'd'].map((text) => write(tier, LANE, recordOf('key', { text })));
      await Promise.all(writes);
      assertSame(await hit(tier, LANE, 'key'), recordOf('key', { text: 'd' }));

      const [, removed] = await Promise.all([write(tier, LANE, recordOf('late')), remove(tier, LANE, 'late')]);
      assert.equal(removed, true);
      await assertMiss(tier, LANE, 'late');

      const [, matched] = await Promise.all([
        write(tier, LANE, recordOf('later')),
        tier.removeMatching(LANE, (key) => key === 'later'),
      ]);
      assert.equal(matched, 1);
      await assertMiss(tier, LANE, 'later');

      await Promise.all([tier.clear(LANE), write(tier, LANE, recordOf('after'))]);
      await assertMiss(tier, LANE, 'key');
      await hit(tier, LANE, 'after');
    },
  },
  {
    law: 'keeps lanes apart',
    check: async (tier) => {
      await write(tier, LANE, recordOf('key', { text: 'here' }));
      await write(tier, OTHER_LANE, recordOf('key', { text: 'there' }));
      assertSame(await hit(tier, LANE, 'key'), recordOf('key', { text: 'here' }));
      await remove(tier, LANE, 'key');
      assertSame(await hit(tier, OTHER_LANE, 'key'), recordOf('key', { text: 'there' }));
      assert.equal(tier.usage(LANE).entries, 0);
      assert.equal(tier.usage(OTHER_LANE).entries, 1);
    },
  },
  {
    law: 'removes what matches by key and tags, counts it, and spares the rest',
    check: async (tier) => {
      for (const key of ['a1', 'a2', 'b1']) await write(tier, LANE, recordOf(key));
      await write(tier, LANE, recordOf('b2', { tags: ['x', 'y'] }));
      await write(tier, OTHER_LANE, recordOf('a1'));
      assert.equal(await tier.removeMatching(LANE, (key, tags) => key.startsWith('a') || tags.includes('y')), 3);
      assert.equal(await tier.removeMatching(LANE, () => false), 0);
      assert.deepEqual(await keysOf(tier, LANE), ['b1']);
      assert.deepEqual(await keysOf(tier, OTHER_LANE), ['a1']);
    },
  },
  {
    law: 'clears one lane alone',
    check: async (tier) => {
      for (const key of ['a', 'b']) {
        await write(tier, LANE, recordOf(key));
        await write(tier, OTHER_LANE, recordOf(key));
      }
      await tier.clear(LANE);
      assert.deepEqual(await keysOf(tier, LANE), []);
      assert.deepEqual(tier.usage(LANE), { entries: 0, sizeBytes: 0 });
      assert.deepEqual(await keysOf(tier, OTHER_LANE), ['a', 'b']);
    },
  },
  {
    law: 'counts its entries and their bytes',
    check: async (tier) => {
      const keys = Array.from({ length: 50 }, (_, index) => `key-${index}`);
      for (const key of keys) await write(tier, LANE, recordOf(key, { text: key.repeat(20) }));
      const full = tier.usage(LANE);
      assert.equal(full.entries, keys.length);
      assert.ok(full.sizeBytes >= keys.length * 100, `${full.sizeBytes} bytes are fewer than the values have`);
      for (const key of keys.slice(0, 25)) await remove(tier, LANE, key);
      const half = tier.usage(LANE);
      assert.equal(half.entries, 25);
      assert.ok(half.sizeBytes > 0 && half.sizeBytes < full.sizeBytes);
      for (const key of keys.slice(25)) await remove(tier, LANE, key);
      assert.deepEqual(tier.usage(LANE), { entries: 0, sizeBytes: 0 });
    },
  },
  {
    law: 'has nothing left of what expired once it was swept, and all of the rest',
    check: async (tier) => {
      for (const key of ['old-1', 'old-2']) await write(tier, LANE, recordOf(key, { expiresAt: LONG_AGO }));
      await write(tier, LANE, recordOf('live'));
      const swept = await tier.sweep(LANE);
      assert.ok(swept.expired <= 2);
      assert.equal(swept.evicted, 0);
      await assertMiss(tier, LANE, 'old-1');
      assert.deepEqual(await keysOf(tier, LANE), ['live']);
      assert.equal(tier.usage(LANE).entries, 1);
      assert.deepEqual(await tier.sweep(LANE), { expired: 0, evicted: 0 });
    },
  },
  {
    law: 'takes any string for a key, and tells them all apart',
    check: async (tier) => {
      for (const key of HOSTILE_KEYS) await write(tier, LANE, recordOf(key, { text: `value of ${key.slice(-8)}` }));
      for (const key of HOSTILE_KEYS) {
        assertSame(await hit(tier, LANE, key), recordOf(key, { text: `value of ${key.slice(-8)}` }));
      }
      assert.deepEqual(await keysOf(tier, LANE), HOSTILE_KEYS.toSorted());
      for (const key of HOSTILE_KEYS) assert.equal(await remove(tier, LANE, key), true);
      assert.deepEqual(tier.usage(LANE), { entries: 0, sizeBytes: 0 });
    },
  },
  {
    law: 'gives back the very bytes, whatever they are',
    check: async (tier) => {
      const everyByte = Uint8Array.from({ length: 256 }, (_, index) => index);
      const values = [new Uint8Array(0), new Uint8Array([0]), everyByte, new Uint8Array(300_000).fill(0xff)];
      for (const [index, value] of values.entries()) {
        const record = recordOf(`bytes-${index}`, { value });
        await write(tier, LANE, record);
        assertSame(await hit(tier, LANE, record.key), record);
      }
    },
  },
  {
    law: 'serves many calls at once',
    check: async (tier) => {
      const keys = Array.from({ length: 200 }, (_, index) => `key-${index}`);
      await Promise.all(keys.map((key) => write(tier, LANE, recordOf(key, { text: key }))));
      const records = await Promise.all(keys.map((key) => hit(tier, LANE, key)));
      for (const [index, key] of keys.entries()) assertSame(records[index], recordOf(key, { text: key }));
      const removed = await Promise.all(keys.map((key) => remove(tier, LANE, key)));
      assert.ok(removed.every(Boolean));
    },
  },
  {
    law: 'has everything in place after a flush',
    check: async (tier) => {
      const writes = ['a', 'b', 'c'].map((key) => write(tier, LANE, recordOf(key)));
      await tier.flush();
      assert.deepEqual(await keysOf(tier, LANE), ['a', 'b', 'c']);
      await Promise.all(writes);
    },
  },
  {
    law: 'looks without leaving a trace, where it offers to',
    check: async (tier) => {
      await write(tier, LANE, recordOf('key'));
      const seen = (await tier.peek?.(LANE, 'key')) ?? (await tier.read(LANE, 'key'));
      assertSame(recordIn(seen, 'key'), recordOf('key'));
      const unseen = (await tier.peek?.(LANE, 'none')) ?? (await tier.read(LANE, 'none'));
      assert.deepEqual(unseen, { outcome: 'miss' });
    },
  },
  {
    law: 'reads values where they lie as it reads records, where it offers to',
    check: async (tier) => {
      const codec = new ValueCodec();
      const reader = new RecordReader(codec);
      const records = ['a', 'b', '\u00e9', 'absent'].map((key, index) => {
        const encoded = codec.encode({ key, list: [index, null, 0.5], text: key.repeat(3_000 * index) });
        return recordOf(key, { tags: ['t'], birth: index, ...(encoded.storable && { value: encoded.bytes }) });
      });
      const written = records.filter(({ key }) => key !== 'absent');
      for (const record of written) await write(tier, LANE, record);
      const found: TierLookup[] = [];
      for (const { key } of records) {
        found.push((await tier.readValue?.(LANE, key, reader)) ?? (await tier.read(LANE, key)));
      }
      // Only now: what was found is not altered by later reads.
      for (const [index, record] of written.entries()) {
        assertSame(recordIn(found[index] ?? { outcome: 'miss' }, record.key), record);
      }
      assert.deepEqual(found.at(-1), { outcome: 'miss' });
    },
  },
  {
    law: 'once closed is off, misses, and changes nothing more',
    check: async (tier) => {
      await write(tier, LANE, recordOf('key'));
      await tier.close();
      await tier.close();
      assert.deepEqual(tier.state, { state: 'off', reason: 'closed' });
      assert.notEqual((await tier.read(LANE, 'key')).outcome, 'hit');
      await write(tier, LANE, recordOf('other'));
      // a tier that outlives its process may not claim that something is gone, so it may also refuse
      assert.equal(await remove(tier, LANE, 'key').catch(() => false), false);
      assert.equal(await tier.removeMatching(LANE, () => true).catch(() => 0), 0);
      await tier.clear(LANE).catch(() => undefined);
      await tier.flush();
      assert.deepEqual(await tier.sweep(LANE), { expired: 0, evicted: 0 });
      assert.deepEqual(await keysOf(tier, LANE), []);
    },
  },
];
