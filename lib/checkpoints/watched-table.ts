import type { RangeOptions, Table, TableKey } from '../storage/environment.js';
import type { ReadFaults } from './read-faults.js';

/** A table whose reads throw `StorageFault` where they would else miss because of a fault. */
export class WatchedTable implements Table {
  readonly name: string;

  constructor(
    /** The table as the environment knows it. */
    readonly origin: Table,
    private readonly faults: ReadFaults,
  ) {
    this.name = origin.name;
  }

  get(key: TableKey): Uint8Array | undefined {
    const before = this.faults.count;
    const value = this.origin.get(key);
    this.faults.throwSince(before);
    return value;
  }

  range(options?: RangeOptions): Iterable<{ readonly key: TableKey; readonly value: Uint8Array }> {
    return this.watched(() => this.origin.range(options));
  }

  keys(options?: RangeOptions): Iterable<TableKey> {
    return this.watched(() => this.origin.keys(options));
  }

  private *watched<T>(rows: () => Iterable<T>): Generator<T, void, undefined> {
    const before = this.faults.count;
    yield* rows();
    this.faults.throwSince(before);
  }
}
