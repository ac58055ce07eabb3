import type { TableKey, Transaction } from '../storage/environment.js';
import type { WatchedTable } from './watched-table.js';

/** Where rows are read from: the committed tables, or those with the changes of a batch on top. */
export interface RowSource {
  get(table: WatchedTable, key: TableKey): Uint8Array | undefined;
}

/** The tables as they are committed. */
export const committedRows: RowSource = { get: (table, key) => table.get(key) };

interface Change {
  readonly table: WatchedTable;
  readonly key: TableKey;
  /** Undefined removes. */
  readonly value: Uint8Array | undefined;
}

/** The changes of one transaction to be, readable before it is committed, so that many writes can share one commit. */
export class WriteBatch implements RowSource {
  private readonly changes = new Map<string, Map<string, Change>>();

  get(table: WatchedTable, key: TableKey): Uint8Array | undefined {
    const change = this.changes.get(table.name)?.get(JSON.stringify(key));
    return change === undefined ? table.get(key) : change.value;
  }

  put(table: WatchedTable, key: TableKey, value: Uint8Array): void {
    this.change({ table, key, value });
  }

  remove(table: WatchedTable, key: TableKey): void {
    this.change({ table, key, value: undefined });
  }

  /** Whether this batch puts or removes the row. */
  touches(table: WatchedTable, key: TableKey): boolean {
    return this.changes.get(table.name)?.has(JSON.stringify(key)) ?? false;
  }

  /** Keys of the rows this batch puts into `table`. */
  *putKeys(table: WatchedTable): Iterable<TableKey> {
    for (const change of this.changes.get(table.name)?.values() ?? []) {
      if (change.value !== undefined) yield change.key;
    }
  }

  get isEmpty(): boolean {
    return this.changes.size === 0;
  }

  writeTo(transaction: Transaction): void {
    for (const rows of this.changes.values()) {
      for (const { table, key, value } of rows.values()) {
        if (value === undefined) transaction.remove(table.origin, key);
        else transaction.put(table.origin, key, value);
      }
    }
  }

  private change(change: Change): void {
    let rows = this.changes.get(change.table.name);
    if (rows === undefined) this.changes.set(change.table.name, (rows = new Map()));
    rows.set(JSON.stringify(change.key), change);
  }
}
