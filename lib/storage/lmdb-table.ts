import { type RangeOptions, type Table, type TableKey, toFault, type StorageReporter } from './environment.js';
import type { NativeTable } from './native-lmdb.js';
import { requireKey } from './table-key.js';

/** Whether reading is still allowed: on a closed environment LMDB throws or crashes. */
export interface ReadGate {
  readonly isOpen: boolean;
}

type NativeRange = Parameters<NativeTable['getRange']>[0];
type NativeBound = string | number | (string | number)[];

const bound = (key: TableKey): NativeBound => (typeof key === 'object' ? [...key] : key);

/** A new object without absent fields: lmdb-js writes into its options, and asks `'start' in options`. */
const toNative = ({ start, end, reverse, limit }: RangeOptions): NativeRange => ({
  ...(start !== undefined && { start: bound(start) }),
  ...(end !== undefined && { end: bound(end) }),
  ...(reverse !== undefined && { reverse }),
  ...(limit !== undefined && { limit }),
});

/**
 * Small copies lie in Node's pool, which costs a fraction of what memory of their own does. lmdb-js reads
 * into one large buffer, whose `length` it sets to that of the value.
 */
const copyOf = (bytes: Buffer): Buffer => {
  const { length } = bytes;
  const copy = Buffer.allocUnsafe(length);
  copy.set(bytes.subarray(0, length));
  return copy;
};

/** Reads one table; damage is told to the reporter and reads as a miss. */
export class LmdbTable implements Table {
  constructor(
    readonly name: string,
    /** Another one once the environment was compacted. */
    public native: NativeTable,
    private readonly gate: ReadGate,
    private readonly report: StorageReporter,
  ) {}

  get(key: TableKey): Uint8Array | undefined {
    if (!this.gate.isOpen) return undefined;
    try {
      const bytes = this.native.getBinaryFast(key);
      return bytes === undefined ? undefined : copyOf(bytes);
    } catch (error) {
      requireKey(key);
      this.missed(error);
      return undefined;
    }
  }

  range(options: RangeOptions = {}): Iterable<{ readonly key: TableKey; readonly value: Uint8Array }> {
    return this.guarded(() => this.native.getRange(toNative(options)));
  }

  keys(options: RangeOptions = {}): Iterable<TableKey> {
    return this.guarded(() => this.native.getKeys(toNative(options)));
  }

  private *guarded<T>(rows: () => Iterable<T>): Generator<T, void, undefined> {
    if (!this.gate.isOpen) return;
    try {
      for (const row of rows()) {
        yield row;
        if (!this.gate.isOpen) return;
      }
    } catch (error) {
      this.missed(error);
    }
  }

  /** After a page error every later read of the turn fails as well, unless the snapshot is given up. */
  private missed(error: unknown): void {
    const fault = toFault(error, `reading ${this.name}`);
    this.report.fault(fault.kind, fault.message, error);
    try {
      this.native.resetReadTxn();
    } catch (again) {
      this.report.fault('damaged', `giving up the snapshot of ${this.name}`, again);
    }
  }
}
