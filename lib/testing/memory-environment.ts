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

  borrow(key: TableKey): Buffer | undefined {
    const bytes = this.get(key);
    return bytes === undefined ? undefined : Buffer.from(bytes.buffer);
  }

  *range({ start, end, reverse = false, limit = Infinity }: RangeOptions = {}): Iterable<Row> {
    const { rows } = this;
    const [lowest, highest] = reverse ? [end, start] : [start, end];
    const place = (key: TableKey): number => this.indexOf(key) + (reverse ? this.has(this.indexOf(key), key) : 0);
    const from = lowest === undefined ? 0 : place(lowest);
    const to = highest === undefined ? rows.length : place(highest);
    // A copy, because rows may change while the caller reads.
    if (reverse) yield* rows.slice(Math.max(from, to - limit), to).toReversed();
    else yield* rows.slice(from, Math.min(to, from + limit));
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
  if (typeof a !== 'object' && typeof b !== 'object') return compareParts(a, b);
  const [left, right] = [partsOf(a), partsOf(b)];
  for (let index = 0; index < left.length && index < right.length; index++) {
    const order = compareParts(left[index] ?? 0, right[index] ?? 0);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

function compareParts(a: Part, b: Part): number {
  if (typeof a === 'number') return typeof b === 'number' ? a - b : -1;
  return typeof b === 'number' ? 1 : compareTexts(a, b);
}

/** By their UTF-8 bytes. The order of UTF-16 is another one only where surrogates are. */
function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  if (SURROGATE.test(a) || SURROGATE.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : 1;
}

const SURROGATE = /[\ud800-\udfff]/;

const partsOf = (key: TableKey): readonly Part[] => (typeof key === 'object' ? key : [key]);
