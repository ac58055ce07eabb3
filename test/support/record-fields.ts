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
