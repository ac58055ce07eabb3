import { rm } from 'node:fs/promises';
import { nextTurn } from '../../clock/clock.js';
import type { Environment, Table, TableKey } from '../environment.js';

const SLICE_ROWS = 256;
const SLICE_BYTES = 2 * 1024 * 1024;

/** Where a copy of `directory` is written. A copy that is there was left by a process that died. */
export const copyPlace = (directory: string): string => `${directory}.copy`;

/**
 * Copies `tables` into a new environment in `directory`, and closes it. Nothing may be written to them during the copy.
 * False, and nothing is left, if there is no room for it or it cannot be opened.
 */
export const copyInto = async (
  directory: string,
  tables: Iterable<Table>,
  open: () => Promise<Environment>,
): Promise<boolean> => {
  const drop = (): Promise<void> => rm(directory, { recursive: true, force: true }).catch(() => undefined);
  await drop();
  try {
    const target = await open();
    try {
      await copyTables(tables, target);
    } finally {
      await target.close();
    }
    return true;
  } catch {
    await drop();
    return false;
  }
};

/** Copies every row of `tables` into tables of the same names in `target`. */
const copyTables = async (tables: Iterable<Table>, target: Environment): Promise<void> => {
  for (const table of tables) {
    const copy = target.table(table.name);
    for (let from: TableKey | undefined; ; await nextTurn()) {
      const rows = slice(table, from);
      if (rows.length === 0) break;
      await target.commit((transaction) => {
        for (const { key, value } of rows) transaction.put(copy, key, value);
      });
      from = rows.at(-1)?.key;
    }
  }
};

/** The rows after `after`, as many as one turn of the loop may take. */
function slice(table: Table, after: TableKey | undefined): { readonly key: TableKey; readonly value: Uint8Array }[] {
  const rows: { readonly key: TableKey; readonly value: Uint8Array }[] = [];
  let bytes = 0;
  const known = JSON.stringify(after);
  for (const row of table.range({ ...(after !== undefined && { start: after }), limit: SLICE_ROWS + 1 })) {
    if (after !== undefined && rows.length === 0 && JSON.stringify(row.key) === known) continue;
    rows.push(row);
    bytes += row.value.length;
    if (bytes > SLICE_BYTES) break;
  }
  return rows;
}
