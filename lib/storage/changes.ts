import type { Table, TableKey, Transaction } from './environment.js';
import { requireKey } from './table-key.js';

/** lmdb-js hands out values from here on as live maps of the file; nothing larger is ever written. */
export const MAX_VALUE_BYTES = 16 * 1024 * 1024 - 1;

/** One change of a transaction; without a value it removes. */
export interface Change {
  readonly table: Table;
  readonly key: TableKey;
  readonly value?: Uint8Array;
}

/** Per row: key, node header, and the share of the pages it dirties. Rough; for the watermark only. */
const ROW_BYTES = 256;

/** What a transaction is asked to do, checked as it is collected, so that applying it cannot stop half-way. */
export class Changes implements Transaction {
  readonly all: Change[] = [];
  /** About what the changes will write. */
  bytes = 0;

  put(table: Table, key: TableKey, value: Uint8Array): void {
    requireKey(key);
    if (value.byteLength > MAX_VALUE_BYTES) {
      throw new RangeError(
        `A value for ${table.name} takes ${value.byteLength} bytes; ${MAX_VALUE_BYTES} is the most. Split it.`,
      );
    }
    this.all.push({ table, key, value });
    this.bytes += value.byteLength + ROW_BYTES;
  }

  remove(table: Table, key: TableKey): void {
    requireKey(key);
    this.all.push({ table, key });
    this.bytes += ROW_BYTES;
  }
}
