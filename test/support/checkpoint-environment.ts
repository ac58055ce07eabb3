import type { RangeOptions, TableKey, Transaction } from '../../lib/storage/environment.js';
import * as plain from '../../lib/testing/memory-environment.js';

/** A table in memory, whose rows tests may look into and damage. */
export class MemoryTable extends plain.MemoryTable {
  /** Rows read so far, to show what a call costs. */
  reads = 0;
  /** The most rows read in one turn of the event loop. */
  mostReadsInTurn = 0;
  /** Whether its pages are damaged: every read misses, and reports it. */
  isUnreadable = false;
  private readsInTurn = 0;

  constructor(
    name: string,
    private readonly tellDamage: (detail: string) => void,
  ) {
    super(name);
  }

  override get(key: TableKey): Uint8Array | undefined {
    return this.mayRead() ? super.get(key) : undefined;
  }

  override *range(options: RangeOptions = {}): Iterable<{ readonly key: TableKey; readonly value: Uint8Array }> {
    if (this.isUnreadable && !this.mayRead()) return;
    for (const row of super.range(options)) {
      this.mayRead();
      yield row;
    }
  }

  private mayRead(): boolean {
    this.reads += 1;
    if (this.readsInTurn === 0) setImmediate(() => (this.readsInTurn = 0));
    this.readsInTurn += 1;
    this.mostReadsInTurn = Math.max(this.mostReadsInTurn, this.readsInTurn);
    if (this.isUnreadable) this.tellDamage(`reading ${this.name}: MDB_CORRUPTED`);
    return !this.isUnreadable;
  }
}

/** An environment in memory that counts; `failNext` makes one commit fail. */
export class MemoryEnvironment extends plain.MemoryEnvironment<MemoryTable> {
  commits = 0;
  failNext: Error | undefined;
  /** Runs before a commit takes effect. */
  beforeCommit: (() => Promise<void>) | undefined;
  private readonly opened = new Set<MemoryTable>();
  /** Of the commits that have not been made, in their order. */
  private readonly faults: (Error | undefined)[] = [];

  constructor(tellDamage: (detail: string) => void = () => undefined) {
    super((name) => {
      const table = new MemoryTable(name, tellDamage);
      this.opened.add(table);
      return table;
    });
  }

  get reads(): number {
    return [...this.opened].reduce((sum, table) => sum + table.reads, 0);
  }

  override commit(fill: (transaction: Transaction) => void): Promise<void> {
    const fault = this.failNext;
    this.failNext = undefined;
    this.faults.push(fault);
    return super.commit(fill);
  }

  protected override async apply(changes: readonly (() => void)[]): Promise<void> {
    const fault = this.faults.shift();
    await this.beforeCommit?.();
    if (fault !== undefined) throw fault;
    await super.apply(changes);
    this.commits += 1;
  }
}
