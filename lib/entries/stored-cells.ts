import { MalformedValue, type Cells } from './kind.js';
import { LARGE_INTEGER, NEGATIVE_ZERO, UTF16_TEXT } from './lower.js';

/** The cells of one row of a table that was read back; the row's first item is its kind. */
export class StoredCells implements Cells {
  readonly length: number;

  constructor(
    private readonly row: readonly unknown[],
    private readonly objectAt: (row: number) => object,
  ) {
    this.length = row.length - 1;
  }

  value(index: number): unknown {
    const cell = this.row[index + 1];
    if (typeof cell !== 'object' || cell === null) return cell;
    const reference = rowOf(cell);
    return reference === undefined ? primitive(cell) : this.objectAt(reference);
  }

  text(index: number): string {
    const value = this.value(index);
    if (typeof value !== 'string') throw new MalformedValue('A stored object has something else where a text belongs.');
    return value;
  }

  number(index: number): number {
    const value = this.value(index);
    if (typeof value !== 'number')
      throw new MalformedValue('A stored object has something else where a number belongs.');
    return value;
  }

  bytes(index: number): Uint8Array<ArrayBuffer> {
    const cell = this.row[index + 1];
    if (!(cell instanceof Uint8Array))
      throw new MalformedValue('A stored object has something else where bytes belong.');
    return new Uint8Array(cell);
  }

  /** The rows that the cells refer to. */
  *references(): Iterable<number> {
    for (const cell of this.row) {
      const reference = typeof cell === 'object' && cell !== null ? rowOf(cell) : undefined;
      if (reference !== undefined) yield reference;
    }
  }
}

function rowOf(cell: object): number | undefined {
  if (!Array.isArray(cell) || cell.length !== 1) return undefined;
  const row: unknown = cell[0];
  return typeof row === 'number' && row >= 0 ? row : undefined;
}

/** One that MessagePack would alter. */
function primitive(cell: object): unknown {
  if (Array.isArray(cell)) {
    const [escape, content]: readonly unknown[] = cell;
    if (escape === NEGATIVE_ZERO) return -0;
    if (escape === UTF16_TEXT && Buffer.isBuffer(content)) return content.toString('utf16le');
    if (escape === LARGE_INTEGER && typeof content === 'string') return largeInteger(content);
  }
  throw new MalformedValue('A stored object has a cell of no known form.');
}

function largeInteger(hexadecimal: string): bigint {
  const digits = hexadecimal.startsWith('-') ? hexadecimal.slice(1) : hexadecimal;
  if (!/^[0-9a-f]+$/.test(digits)) throw new MalformedValue('A large integer has other characters than digits.');
  const magnitude = BigInt(`0x${digits}`);
  return digits === hexadecimal ? magnitude : -magnitude;
}
