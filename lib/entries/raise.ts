import { StaleType } from './cacheable-type.js';
import { isClassKind } from './instance-kind.js';
import { MalformedValue, type Kind } from './kind.js';
import type { ValueTable } from './lower.js';
import { StoredCells } from './stored-cells.js';

interface Row {
  readonly kind: Kind;
  readonly cells: StoredCells;
  /** Makes the object out of its filled shell, where that is not the object itself. */
  readonly replace: ((shell: object) => object) | undefined;
}

/** The value of a table. Throws MalformedValue, or StaleType for instances of a class or version no longer known. */
export function raise(table: ValueTable, kinds: ReadonlyMap<string, Kind>): unknown {
  const objects: object[] = [];
  const objectAt = (index: number): object => {
    const object = objects[index];
    if (object === undefined) throw new MalformedValue('A value refers to a row that is not there.');
    return object;
  };
  const rows = table.rows.map((row): Row => {
    const kind = kindOf(row, kinds);
    const cells = new StoredCells(row, objectAt);
    return { kind, cells, replace: kind.replacement?.(cells) };
  });
  for (const { kind, cells } of rows) objects.push(kind.shell(cells));

  const fill = (index: number, row: Row): void => {
    const shell = objectAt(index);
    row.kind.fill?.(shell, row.cells);
    if (row.replace !== undefined) objects[index] = row.replace(shell);
  };
  if (rows.some((row) => row.replace !== undefined)) childrenFirst(rows, fill);
  else rows.forEach((row, index) => fill(index, row));
  return new StoredCells([undefined, table.root], objectAt).value(0);
}

function kindOf(row: readonly unknown[], kinds: ReadonlyMap<string, Kind>): Kind {
  const name = row[0];
  if (typeof name !== 'string') throw new MalformedValue('A stored object has no kind.');
  const kind = kinds.get(name);
  if (kind !== undefined) return kind;
  if (isClassKind(name)) throw new StaleType(`An instance of '${name}' is stored, which is not listed in 'types'.`);
  throw new MalformedValue('A stored object is of no known kind.');
}

/** Visits every row after those it refers to, as far as cycles allow: what is replaced must be so before it is used. */
function childrenFirst(rows: readonly Row[], visit: (index: number, row: Row) => void): void {
  const state = rows.map((): 'new' | 'open' | 'done' => 'new');
  const open: { readonly index: number; readonly row: Row; readonly children: Iterator<number> }[] = [];
  const enter = (index: number): void => {
    const row = rows[index];
    if (row === undefined || state[index] === 'done') return;
    if (state[index] === 'open') {
      if (row.replace === undefined) return;
      throw new StaleType('An instance that would have to be migrated refers back to itself.');
    }
    state[index] = 'open';
    open.push({ index, row, children: row.cells.references()[Symbol.iterator]() });
  };
  for (const start of rows.keys()) {
    enter(start);
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const child = top.children.next();
      if (child.done !== true) {
        enter(child.value);
        continue;
      }
      visit(top.index, top.row);
      state[top.index] = 'done';
      open.pop();
    }
  }
}
