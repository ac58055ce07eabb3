import type { Environment, RangeOptions, Table, TableKey, Transaction } from '../storage/environment.js';

type Part = string | number;
type Row = { readonly key: TableKey; value: Uint8Array };

/** A table in memory, in the order of its keys. */
export class MemoryTable implements Table {
  readonly rows: Row[] = [];

  constructor(readonly name: string) {}

  get(key: TableKey): Uint8Array | undefined {
    const row = this.rows[this.indexOf(key)];
    return row !== undefined && compareKeys(row.key, key) === 0 ? Uint8Array.from(row.value) : undefined;
  }

  *range({ start, end, reverse = false, limit = Infinity }: RangeOptions = {}): Iterable<Row> {
    const snapshot = reverse ? this.rows.toReversed() : [...this.rows];
    const direction = reverse ? -1 : 1;
    let given = 0;
    for (const row of snapshot) {
      if (given >= limit || (end !== undefined && compareKeys(row.key, end) * direction >= 0)) return;
      if (start !== undefined && compareKeys(row.key, start) * direction < 0) continue;
      given += 1;
      yield row;
    }
  }

  *keys(options?: RangeOptions): Iterable<TableKey> {
    for (const { key } of this.range(options)) yield key;
  }

  put(key: TableKey, value: Uint8Array): void {
    const index = this.indexOf(key);
    this.rows.splice(index, this.has(index, key), { key, value: Uint8Array.from(value) });
  }

  delete(key: TableKey): void {
    const index = this.indexOf(key);
    this.rows.splice(index, this.has(index, key));
  }

  private has(index: number, key: TableKey): 0 | 1 {
    const row = this.rows[index];
    return row !== undefined && compareKeys(row.key, key) === 0 ? 1 : 0;
  }

  /** The first index whose key is not below `key`. */
  private indexOf(key: TableKey): number {
    let [low, high] = [0, this.rows.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const row = this.rows[middle];
      if (row !== undefined && compareKeys(row.key, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** An environment without a folder: what is committed to it lasts as long as the object. */
export class MemoryEnvironment<T extends MemoryTable = MemoryTable> implements Environment {
  readonly directory = '(memory)';
  readonly durability = 'session';
  private readonly tables = new Map<string, T>();
  private last: Promise<void> = Promise.resolve();

  constructor(private readonly makeTable: (name: string) => T) {}

  table(name: string): T {
    const known = this.tables.get(name) ?? this.makeTable(name);
    this.tables.set(name, known);
    return known;
  }

  /** Applied in a later microtask, after the commits before it. */
  commit(fill: (transaction: Transaction) => void): Promise<void> {
    const changes: (() => void)[] = [];
    fill({
      put: (table, key, value) => void changes.push(() => this.table(table.name).put(key, value)),
      remove: (table, key) => void changes.push(() => this.table(table.name).delete(key)),
    });
    const applied = this.last.then(() => this.apply(changes));
    this.last = applied.catch(() => undefined);
    return applied;
  }

  protected async apply(changes: readonly (() => void)[]): Promise<void> {
    for (const change of changes) change();
  }

  fileBytes = (): number => 0;
  freeBytes = (): number => 0;
  checkReaders = (): void => undefined;
  compact = (): Promise<void> => Promise.resolve();
  close = (): Promise<void> => this.last;
}

/** As lmdb sorts: numbers before strings, arrays element by element. */
function compareKeys(a: TableKey, b: TableKey): number {
  const [left, right] = [partsOf(a), partsOf(b)];
  for (const [index, part] of left.entries()) {
    const other = right[index];
    if (other === undefined) return 1;
    const order = comparePart(part, other);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

function comparePart(a: Part, b: Part): number {
  if (typeof a !== typeof b) return typeof a === 'number' ? -1 : 1;
  if (typeof a === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(String(b)));
  return a - Number(b);
}

const partsOf = (key: TableKey): readonly Part[] => (typeof key === 'object' ? key : [key]);
