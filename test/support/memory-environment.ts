import {
  StorageFault,
  type Durability,
  type Environment,
  type RangeOptions,
  type Table,
  type TableKey,
  type Transaction,
  type StorageReporter,
} from '../../lib/storage/environment.js';
import type { EnvironmentSource } from '../../lib/tiers/store-supervisor.js';

type Row = { readonly key: TableKey; readonly value: Uint8Array };

const compare = (a: TableKey, b: TableKey): number => {
  const left = typeof a === 'object' ? a : [a];
  const right = typeof b === 'object' ? b : [b];
  for (let index = 0; index < Math.min(left.length, right.length); index++) {
    const x = left[index] ?? 0;
    const y = right[index] ?? 0;
    if (typeof x !== typeof y) return typeof x === 'number' ? -1 : 1;
    if (x !== y) return x < y ? -1 : 1;
  }
  return left.length - right.length;
};

class MemoryTable implements Table {
  rows: Row[] = [];

  constructor(readonly name: string) {}

  get(key: TableKey): Uint8Array | undefined {
    const row = this.rows[this.indexOf(key)];
    return row !== undefined && compare(row.key, key) === 0 ? Buffer.from(row.value) : undefined;
  }

  range({ start, end, reverse, limit }: RangeOptions = {}): Iterable<Row> {
    const from = start === undefined ? 0 : this.indexOf(start);
    const to = end === undefined ? this.rows.length : this.indexOf(end);
    if (reverse === true) throw new Error('not needed so far');
    return this.rows.slice(from, Math.min(to, from + (limit ?? Infinity)));
  }

  keys(options: RangeOptions = {}): Iterable<TableKey> {
    return [...this.range(options)].map((row) => row.key);
  }

  set(key: TableKey, value: Uint8Array | undefined): void {
    const index = this.indexOf(key);
    const row = this.rows[index];
    const found = row !== undefined && compare(row.key, key) === 0 ? 1 : 0;
    this.rows.splice(index, found, ...(value === undefined ? [] : [{ key, value: Buffer.from(value) }]));
  }

  private indexOf(key: TableKey): number {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(this.rows[middle]?.key ?? '', key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** What a folder would hold. Outlives the environments opened over it. */
export class MemoryFolder {
  readonly tables = new Map<string, MemoryTable>();
}

/** An environment in memory, whose commits fail, or wait, when a test says so. */
export class MemoryEnvironment implements Environment {
  readonly directory = 'memory';
  readonly commits: number[] = [];
  isOpen = true;
  /** While set, every commit rejects with it. */
  fault: StorageFault | undefined;
  /** While set, every commit waits for it. */
  gate: Promise<void> | undefined;

  constructor(
    readonly folder: MemoryFolder = new MemoryFolder(),
    readonly durability: Durability = 'session',
  ) {}

  table(name: string): MemoryTable {
    let table = this.folder.tables.get(name);
    if (table === undefined) this.folder.tables.set(name, (table = new MemoryTable(name)));
    return table;
  }

  async commit(fill: (transaction: Transaction) => void): Promise<void> {
    const changes: { readonly table: Table; readonly key: TableKey; readonly value?: Uint8Array }[] = [];
    fill({
      put: (table, key, value) => void changes.push({ table, key, value }),
      remove: (table, key) => void changes.push({ table, key }),
    });
    await this.gate;
    if (this.fault !== undefined) throw this.fault;
    if (!this.isOpen) throw new StorageFault('closed', 'closed');
    for (const { table, key, value } of changes) this.table(table.name).set(key, value);
    this.commits.push(changes.length);
  }

  fileBytes(): number {
    return 0;
  }

  freeBytes(): number {
    return 0;
  }

  compact(): Promise<void> {
    return Promise.resolve();
  }

  checkReaders(): void {
    // has no readers
  }

  close(): Promise<void> {
    this.isOpen = false;
    return Promise.resolve();
  }
}

/** Opens one folder again and again, until it is discarded. */
export class MemorySource implements EnvironmentSource {
  folder = new MemoryFolder();
  /** The one opened last. */
  environment = new MemoryEnvironment(this.folder);
  report: StorageReporter | undefined;
  opened = 0;
  discarded = 0;
  openFault: Error | undefined;
  discardFault: Error | undefined;

  open(report: StorageReporter): Promise<Environment> {
    if (this.openFault !== undefined) return Promise.reject(this.openFault);
    this.opened++;
    this.report = report;
    this.environment = new MemoryEnvironment(this.folder, 'durable');
    return Promise.resolve(this.environment);
  }

  discard(): Promise<void> {
    if (this.discardFault !== undefined) return Promise.reject(this.discardFault);
    this.discarded++;
    this.folder = new MemoryFolder();
    return Promise.resolve();
  }
}
