import type { Environment, RangeOptions, Table, TableKey, Transaction } from '../../lib/storage/environment.js';

type Part = string | number;
const partsOf = (key: TableKey): readonly Part[] => (typeof key === 'object' ? key : [key]);

const comparePart = (a: Part, b: Part): number => {
  if (typeof a !== typeof b) return typeof a === 'number' ? -1 : 1;
  if (typeof a === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(String(b)));
  return a - Number(b);
};

/** As lmdb sorts: numbers before strings, arrays element by element. */
const compareKeys = (a: TableKey, b: TableKey): number => {
  const [left, right] = [partsOf(a), partsOf(b)];
  for (const [index, part] of left.entries()) {
    const other = right[index];
    if (other === undefined) return 1;
    const order = comparePart(part, other);
    if (order !== 0) return order;
  }
  return left.length - right.length;
};

/** A table in memory, whose rows tests may look into and damage. */
export class MemoryTable implements Table {
  readonly rows: { key: TableKey; value: Uint8Array }[] = [];
  /** Rows read so far, to show what a call costs. */
  reads = 0;
  /** The most rows read in one turn of the event loop. */
  mostReadsInTurn = 0;
  /** Whether its pages are damaged: every read misses, and tells so. */
  isUnreadable = false;
  private readsInTurn = 0;

  constructor(
    readonly name: string,
    private readonly tellDamage: (detail: string) => void,
  ) {}

  get(key: TableKey): Uint8Array | undefined {
    if (!this.mayRead()) return undefined;
    const index = this.indexOf(key);
    const row = this.rows[index];
    return row !== undefined && compareKeys(row.key, key) === 0 ? Uint8Array.from(row.value) : undefined;
  }

  *range(options: RangeOptions = {}): Iterable<{ readonly key: TableKey; readonly value: Uint8Array }> {
    const { start, end, reverse = false, limit = Infinity } = options;
    const from = start === undefined ? (reverse ? this.rows.length : 0) : this.indexOf(start);
    const snapshot = [...this.rows];
    let given = 0;
    if (this.isUnreadable && !this.mayRead()) return;
    for (let index = reverse ? Math.min(from, snapshot.length - 1) : from; given < limit; index += reverse ? -1 : 1) {
      const row = snapshot[index];
      if (row === undefined) return;
      if (reverse && start !== undefined && compareKeys(row.key, start) > 0) continue;
      if (end !== undefined && (reverse ? compareKeys(row.key, end) <= 0 : compareKeys(row.key, end) >= 0)) return;
      given += 1;
      this.mayRead();
      yield row;
    }
  }

  *keys(options?: RangeOptions): Iterable<TableKey> {
    for (const { key } of this.range(options)) yield key;
  }

  put(key: TableKey, value: Uint8Array): void {
    const index = this.indexOf(key);
    const row = this.rows[index];
    const isThere = row !== undefined && compareKeys(row.key, key) === 0;
    this.rows.splice(index, isThere ? 1 : 0, { key, value: Uint8Array.from(value) });
  }

  delete(key: TableKey): void {
    const index = this.indexOf(key);
    const row = this.rows[index];
    if (row !== undefined && compareKeys(row.key, key) === 0) this.rows.splice(index, 1);
  }

  private mayRead(): boolean {
    this.reads += 1;
    if (this.readsInTurn === 0) setImmediate(() => (this.readsInTurn = 0));
    this.readsInTurn += 1;
    this.mostReadsInTurn = Math.max(this.mostReadsInTurn, this.readsInTurn);
    if (this.isUnreadable) this.tellDamage(`reading ${this.name}: MDB_CORRUPTED`);
    return !this.isUnreadable;
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

/** An environment in memory. Commits land in a later microtask, in order; `failNext` makes one fail. */
export class MemoryEnvironment implements Environment {
  readonly directory = '/nowhere';
  readonly durability = 'durable';
  commits = 0;
  failNext: Error | undefined;
  /** Runs before a commit lands. */
  beforeLanding: (() => Promise<void>) | undefined;
  private readonly tables = new Map<string, MemoryTable>();
  private last: Promise<void> = Promise.resolve();

  constructor(private readonly tellDamage: (detail: string) => void = () => undefined) {}

  table(name: string): MemoryTable {
    const known = this.tables.get(name) ?? new MemoryTable(name, this.tellDamage);
    this.tables.set(name, known);
    return known;
  }

  get reads(): number {
    return [...this.tables.values()].reduce((sum, table) => sum + table.reads, 0);
  }

  commit(fill: (transaction: Transaction) => void): Promise<void> {
    const changes: (() => void)[] = [];
    fill({
      put: (table, key, value) => void changes.push(() => this.table(table.name).put(key, value)),
      remove: (table, key) => void changes.push(() => this.table(table.name).delete(key)),
    });
    const fault = this.failNext;
    this.failNext = undefined;
    const landed = this.land(this.last, changes, fault);
    this.last = landed.catch(() => undefined);
    return landed;
  }

  private async land(before: Promise<void>, changes: readonly (() => void)[], fault: Error | undefined): Promise<void> {
    await before;
    await this.beforeLanding?.();
    if (fault !== undefined) throw fault;
    for (const change of changes) change();
    this.commits += 1;
  }

  fileBytes = (): number => 0;
  freeBytes = (): number => 0;
  checkReaders = (): void => undefined;
  compact = (): Promise<void> => Promise.resolve();
  close = (): Promise<void> => this.last;
}
