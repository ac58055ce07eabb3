import { types } from 'node:util';
import { Unstorable, type CellWriter, type Kind, type Place, MalformedValue, type Cells } from './kinds.js';
import { StaleType, isClassKind } from './class-kinds.js';

/**
 * Any value as a table without nesting: each distinct object one row, its kind followed by its cells. So cycles and
 * shared objects stay what they are, and depth costs no stack.
 *
 * A cell is a primitive, or `[row]` for an object, or one of the escapes for primitives that MessagePack would alter.
 */
export interface ValueTable {
  readonly root: unknown;
  readonly rows: readonly (readonly unknown[])[];
}

/** First items of the escape cells. */
const NEGATIVE_ZERO = -1;
const UTF16_TEXT = -2;
const LARGE_INTEGER = -3;

const LOWEST_INTEGER = -(2n ** 63n);
const BEYOND_INTEGER = 2n ** 64n;

/** Throws Unstorable, naming the path, for what the table cannot hold faithfully. */
export function toTable(value: unknown, kinds: ReadonlyMap<object | null, Kind>): ValueTable {
  return new TableBuilder(kinds).table(value);
}

class TableBuilder implements CellWriter {
  private readonly rowOf = new Map<object, number>();
  private readonly found: { readonly object: object; readonly parent: number; readonly place: Place }[] = [];
  private current = -1;

  constructor(private readonly kinds: ReadonlyMap<object | null, Kind>) {}

  table(value: unknown): ValueTable {
    const root = this.cell(value, ROOT);
    const rows: unknown[][] = [];
    // rows are appended while their predecessors are lowered
    for (const { object } of this.found) {
      this.current += 1;
      const kind = this.kindOf(object);
      rows.push([kind.name, ...kind.write(object, this)]);
    }
    return { root, rows };
  }

  cell(value: unknown, place: Place): unknown {
    switch (typeof value) {
      case 'string':
        return value.isWellFormed() ? value : [UTF16_TEXT, Buffer.from(value, 'utf16le')];
      case 'number':
        return Object.is(value, -0) ? [NEGATIVE_ZERO] : value;
      case 'bigint':
        return value >= LOWEST_INTEGER && value < BEYOND_INTEGER ? value : [LARGE_INTEGER, value.toString(16)];
      case 'object':
        return value === null ? null : [this.row(value, place)];
      case 'function':
      case 'symbol':
        return this.refuse(`is a ${typeof value}`, place);
      default:
        return value;
    }
  }

  refuse(problem: string, place: Place = ROOT): never {
    const steps = [place];
    for (let at = this.found[this.current]; at !== undefined; at = this.found[at.parent]) steps.push(at.place);
    const path = steps.toReversed().map(written).join('');
    throw new Unstorable(`value${shorten(path)} ${problem}`);
  }

  private row(object: object, place: Place): number {
    const known = this.rowOf.get(object);
    if (known !== undefined) return known;
    const row = this.found.length;
    this.rowOf.set(object, row);
    this.found.push({ object, parent: this.current, place });
    return row;
  }

  private kindOf(object: object): Kind {
    if (types.isProxy(object)) this.refuse('is a Proxy');
    const prototype: object | null = Object.getPrototypeOf(object);
    const kind = this.kinds.get(prototype);
    if (kind?.isReal(object) === true) return kind;
    return this.refuse(describe(object));
  }
}

function describe(object: object): string {
  const name = className(object);
  if (types.isPromise(object)) return 'is a Promise';
  if (typeof Reflect.get(object, 'pipe') === 'function' || name.endsWith('Stream')) return `is a stream (${name})`;
  if (name === 'Object' || name === 'Array') return `is an ${name} of another realm, or of a changed prototype`;
  return `is an instance of ${name}, which is not listed in 'types'`;
}

function className(object: object): string {
  const constructor: unknown = Reflect.get(object, 'constructor');
  return typeof constructor === 'function' && constructor.name !== '' ? constructor.name : 'an unnamed class';
}

const ROOT: Place = { words: '' };
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

/** The place as it would be written behind the object. */
function written(place: Place): string {
  if (typeof place === 'object') return place.words;
  if (typeof place !== 'string') return `[${String(place)}]`;
  return IDENTIFIER.test(place) ? `.${place}` : `[${JSON.stringify(place)}]`;
}

const PATH_ENDS = 200;

const shorten = (path: string): string =>
  path.length <= 2 * PATH_ENDS ? path : `${path.slice(0, PATH_ENDS)}…${path.slice(-PATH_ENDS)}`;

interface Row {
  readonly kind: Kind;
  readonly cells: StoredCells;
  /** Makes the object out of its filled shell, where that is not the object itself. */
  readonly replace: ((shell: object) => object) | undefined;
}

/** The value of a table. Throws MalformedValue, or StaleType for instances of a class or version no longer known. */
export function fromTable(table: ValueTable, kinds: ReadonlyMap<string, Kind>): unknown {
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

/** The cells of one row of a table that was read back; the row's first item is its kind. */
class StoredCells implements Cells {
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
