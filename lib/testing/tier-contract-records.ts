import assert from 'node:assert/strict';
import { encodeRecord } from '../entries/record.js';
import type { Tier, TierLookup, TierRecord } from '../tiers/tier.js';

/** Past and future of every clock a test may run by. */
export const LONG_AGO = Date.UTC(2001, 0, 1);
export const FAR_AWAY = Date.UTC(2100, 0, 1);

/** What of a record a test cares about. */
export interface RecordParts {
  readonly text?: string;
  readonly value?: Uint8Array;
  readonly tags?: readonly string[];
  readonly birth?: number;
  readonly computeMs?: number;
  readonly expiresAt?: number;
}

/** A record as the write path encodes it. */
export function recordOf(key: string, parts: RecordParts = {}): TierRecord {
  const { text = 'value', tags = [], birth = 0, computeMs = 0, expiresAt = FAR_AWAY } = parts;
  const bytes = encodeRecord({
    key,
    tags,
    birth,
    storedAt: LONG_AGO - 1_000,
    expiresAt,
    staleUntil: expiresAt,
    computeMs,
    appVersion: '',
    schemaVersion: 0,
    value: parts.value ?? Buffer.from(text),
  });
  return { key, tags, birth, expiresAt, computeMs, bytes };
}

/** What is read, which must be there. */
export async function hit(tier: Tier, lane: string, key: string): Promise<TierRecord> {
  return recordIn(await tier.read(lane, key), key);
}

/** The record of a look-up, which must be a hit. */
export function recordIn(lookup: TierLookup, key: string): TierRecord {
  assert.ok(lookup.outcome === 'hit', `expected a hit of ${JSON.stringify(key.slice(0, 40))}, not '${lookup.outcome}'`);
  return lookup.record;
}

/** The tier is on and has nothing. */
export async function assertMiss(tier: Tier, lane: string, key: string): Promise<void> {
  assert.deepEqual(await tier.read(lane, key), { outcome: 'miss' });
}

/** Equal in everything that a tier is given to keep. */
export function assertSame(actual: TierRecord | undefined, expected: TierRecord): void {
  assert.ok(actual !== undefined);
  assert.ok(actual.key === expected.key, 'the key is another one');
  assert.deepEqual([...actual.tags], [...expected.tags]);
  assert.equal(actual.birth, expected.birth);
  assert.equal(actual.computeMs, expected.computeMs);
  assert.equal(actual.expiresAt, expected.expiresAt);
  assert.ok(Buffer.from(actual.bytes).equals(expected.bytes), 'the bytes are other ones');
}

/** All keys of a lane, sorted. */
export async function keysOf(tier: Tier, lane: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of tier.keys(lane)) keys.push(key);
  return keys.toSorted();
}

/** A write as a promise, begun at once. */
export async function write(tier: Tier, lane: string, record: TierRecord): Promise<void> {
  await tier.write(lane, record);
}

/** A removal as a promise, begun at once. */
export async function remove(tier: Tier, lane: string, key: string): Promise<boolean> {
  return tier.remove(lane, key);
}
