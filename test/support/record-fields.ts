import { crc32 } from 'node:zlib';
import type { RecordFields } from '../../lib/entries/record.js';

/** An ordinary record, with `changes`. */
export const recordFields = (changes: Partial<RecordFields> = {}): RecordFields => ({
  key: 'doc:intro',
  tags: ['docs', 'page:1'],
  birth: 42,
  storedAt: 1_700_000_000_000,
  expiresAt: 1_700_000_300_000,
  staleUntil: 1_700_000_360_000,
  computeMs: 12.5,
  appVersion: '1.4',
  schemaVersion: 2,
  value: Buffer.from('the encoded value'),
  ...changes,
});

/** The record with the byte at `at` replaced, and a correct checksum. */
export function forged(bytes: Uint8Array, at: number, byte: number): Buffer {
  const record = Buffer.from(bytes);
  record[at] = byte;
  record.writeUInt32LE(crc32(record.subarray(8), record.readUInt32LE(0)), 4);
  return record;
}
