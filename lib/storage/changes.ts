import type { Table, TableKey, Transaction } from './environment.js';
import type { LmdbTable } from './lmdb-table.js';
import { requireKey } from './table-key.js';

/** lmdb-js hands out values from here on as live maps of the file; nothing larger is ever written. */
export const MAX_VALUE_BYTES = 16 * 1024 * 1024 - 1;

/** One change of a transaction; without a value it removes. */
export interface Change {
  readonly table: LmdbTable;
  readonly key: TableKey;
  readonly value?: Uint8Array;
}

const PAGE_BYTES = 4_096;
/** Branches, lists and meta pages that every transaction writes anew. */
const TRANSACTION_BYTES = 16 * PAGE_BYTES;

/** What a transaction is asked to do, checked as it is collected, so that applying it cannot stop half-way. */
export class Changes implements Transaction {
  readonly all: Change[] = [];
  /** The most that LMDB may write for it: each change can copy a page of its own. */
  bytes = TRANSACTION_BYTES;
  onlyRemoves = true;

  /** `tables` are those of the environment, by name. */
  constructor(private readonly tables: ReadonlyMap<string, LmdbTable>) {}

  put(table: Table, key: TableKey, value: Uint8Array): void {
    requireKey(key);
    if (value.byteLength > MAX_VALUE_BYTES) {
      throw new RangeError(
        `A value for ${table.name} takes ${value.byteLength} bytes; ${MAX_VALUE_BYTES} is the most. Split it.`,
      );
    }
    this.all.push({ table: this.own(table), key, value });
    this.bytes += value.byteLength + 2 * PAGE_BYTES;
    this.onlyRemoves = false;
  }

  remove(table: Table, key: TableKey): void {
    requireKey(key);
    this.all.push({ table: this.own(table), key });
    this.bytes += PAGE_BYTES;
  }

  private own(table: Table): LmdbTable {
    const own = this.tables.get(table.name);
    if (own !== table) throw new TypeError(`Table ${table.name} belongs to another environment.`);
    return own;
  }
}
