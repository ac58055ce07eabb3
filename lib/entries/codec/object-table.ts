import { types } from 'node:util';
import { isClassKind, StaleType } from './class-kinds.js';
import { type CellReader, type CellWriter, type Kind, MalformedValue, type Place, Unstorable } from './kinds.js';
import { isSmallInteger } from './trees.js';

/**
 * A value as a table without nesting, so that cycles and shared references survive, and depth takes no stack.
 *
 * Each distinct object is one row: the name of its kind, then its cells, whose meaning the kind defines. A cell is
 *
 * - a primitive;
 * - `[row]`, a reference to the object in that row;
 * - an escape for a primitive that MessagePack would alter: `[-1]` is -0, `[-2, bytes]` a text that is not well formed
 *   (in UTF-16), `[-3, digits]` a bigint of more than 64 bits (in hexadecimal).
 *
 * `root` is the cell of the value itself. For `const a = { n: -0 }; a.self = a` the table is root `[0]` and rows
 * `[['Object', 'n', [-1], 'self', [0]]]`. Rows are in the order in which the objects are reached first.
 */
export interface ValueTable {
  readonly root: unknown;
  readonly rows: readonly (readonly unknown[])[];
}

const NEGATIVE_ZERO = -1;
const UTF16_TEXT = -2;
const LARGE_INTEGER = -3;

/** Throws Unstorable, naming the path in the value, for content that the table cannot hold faithfully. */
export function serializeToTable(value: unknown, kinds: ReadonlyMap<object | null, Kind>): ValueTable {
  return new TableWriter(kinds).table(value);
}

/** A value that is nested deeper is refused: beyond it, encoding would hold the event loop for too long. */
export const MAX_NESTING = 1_000;

interface FoundObject {
  readonly object: object;
  readonly parent: number;
  readonly place: Place;
  /** How many objects it is nested in. */
  readonly depth: number;
}

class TableWriter implements CellWriter {
  private readonly rowOf = new Map<object, number>();
  private readonly found: FoundObject[] = [];
  private current = -1;

  constructor(private readonly kinds: ReadonlyMap<object | null, Kind>) {}

  table(value: unknown): ValueTable {
    const root = this.cell(value, ROOT);
    const rows: unknown[][] = [];
    // `found` grows while its objects are serialized
    for (const { object } of this.found) {
      this.current += 1;
      const kind = this.kindOf(object);
      rows.push([kind.name, ...kind.serialize(object, this)]);
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
        return isSmallInteger(value) ? value : [LARGE_INTEGER, value.toString(16)];
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
    const path = steps.toReversed().map(accessor).join('');
    throw new Unstorable(`value${shorten(path)} ${problem}`);
  }

  private row(object: object, place: Place): number {
    const known = this.rowOf.get(object);
    if (known !== undefined) return known;
    const row = this.found.length;
    const depth = (this.found[this.current]?.depth ?? -1) + 1;
    if (depth >= MAX_NESTING) this.refuse(`is nested more than ${MAX_NESTING} levels deep`, place);
    this.rowOf.set(object, row);
    this.found.push({ object, parent: this.current, place, depth });
    return row;
  }

  private kindOf(object: object): Kind {
    if (types.isProxy(object)) this.refuse('is a Proxy');
    const prototype: object | null = Object.getPrototypeOf(object);
    const kind = this.kinds.get(prototype);
    if (kind?.matches(object) === true) return kind;
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

const ROOT: Place = { description: '' };
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

/** The place as JavaScript writes it after an object: `.name`, `[0]`, `["a b"]`. */
function accessor(place: Place): string {
  if (typeof place === 'object') return place.description;
  if (typeof place !== 'string') return `[${String(place)}]`;
  return IDENTIFIER.test(place) ? `.${place}` : `[${JSON.stringify(place)}]`;
}

const PATH_ENDS = 200;

const shorten = (path: string): string =>
  path.length <= 2 * PATH_ENDS ? path : `${path.slice(0, PATH_ENDS)}…${path.slice(-PATH_ENDS)}`;

/** What a table held. */
export interface DecodedTable {
  readonly value: unknown;
  /** A part was stored by another version of its class, and the app's `migrate` made the present one of it. */
  readonly isMigrated: boolean;
}

interface Row {
  readonly kind: Kind;
  readonly cells: RowReader;
  /** Makes the present version of the object, when an older one was stored. */
  readonly migrate: ((fields: object) => object) | undefined;
}

/**
 * The value of a table: creates all objects empty, then populates them, so that they can refer to each other. Throws
 * MalformedValue, or StaleType for instances of a class or version that is no longer known.
 */
export function deserializeTable(table: ValueTable, kinds: ReadonlyMap<string, Kind>): DecodedTable {
  const objects: object[] = [];
  const objectAt = (index: number): object => {
    const object = objects[index];
    if (object === undefined) throw new MalformedValue('A value refers to a row that is not there.');
    return object;
  };
  const rows = table.rows.map((row): Row => {
    const kind = kindOf(row, kinds);
    const cells = new RowReader(row, objectAt);
    return { kind, cells, migrate: kind.migration?.(cells) };
  });
  for (const { kind, cells } of rows) objects.push(kind.create(cells));

  const populate = (index: number, { kind, cells, migrate }: Row): void => {
    const object = objectAt(index);
    kind.populate?.(object, cells);
    if (migrate !== undefined) objects[index] = migrate(object);
  };
  const isMigrated = rows.some((row) => row.migrate !== undefined);
  if (isMigrated) childrenFirst(rows, populate);
  else rows.forEach((row, index) => populate(index, row));
  return { value: new RowReader([undefined, table.root], objectAt).value(0), isMigrated };
}

function kindOf(row: readonly unknown[], kinds: ReadonlyMap<string, Kind>): Kind {
  const name = row[0];
  if (typeof name !== 'string') throw new MalformedValue('A stored object has no kind.');
  const kind = kinds.get(name);
  if (kind !== undefined) return kind;
  if (isClassKind(name)) throw new StaleType(`An instance of '${name}' is stored, which is not listed in 'types'.`);
  throw new MalformedValue('A stored object has an unknown kind.');
}

/**
 * Visits every row after the rows it refers to, as far as cycles allow: an object must be migrated before another one
 * takes it into its fields. Keeps its own stack of open rows, since nesting may be deep.
 */
function childrenFirst(rows: readonly Row[], visit: (index: number, row: Row) => void): void {
  const state = rows.map((): 'new' | 'open' | 'done' => 'new');
  const open: { readonly index: number; readonly row: Row; readonly children: Iterator<number> }[] = [];
  const enter = (index: number): void => {
    const row = rows[index];
    if (row === undefined || state[index] === 'done') return;
    if (state[index] === 'open') {
      if (row.migrate === undefined) return;
      throw new StaleType('An instance that needs a migration refers back to itself.');
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

/** The cells of one stored row, which follow the name of its kind. */
class RowReader implements CellReader {
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
    const reference = referencedRow(cell);
    return reference === undefined ? escapedPrimitive(cell) : this.objectAt(reference);
  }

  text(index: number): string {
    const value = this.value(index);
    if (typeof value !== 'string') throw new MalformedValue('A stored object has no text where one is expected.');
    return value;
  }

  number(index: number): number {
    const value = this.value(index);
    if (typeof value !== 'number') throw new MalformedValue('A stored object has no number where one is expected.');
    return value;
  }

  bytes(index: number): Uint8Array<ArrayBuffer> {
    const cell = this.row[index + 1];
    if (!(cell instanceof Uint8Array))
      throw new MalformedValue('A stored object has no bytes where some are expected.');
    return new Uint8Array(cell);
  }

  /** The rows that the cells refer to. */
  *references(): Iterable<number> {
    for (const cell of this.row) {
      const reference = typeof cell === 'object' && cell !== null ? referencedRow(cell) : undefined;
      if (reference !== undefined) yield reference;
    }
  }
}

function referencedRow(cell: object): number | undefined {
  if (!Array.isArray(cell) || cell.length !== 1) return undefined;
  const row: unknown = cell[0];
  return typeof row === 'number' && row >= 0 ? row : undefined;
}

function escapedPrimitive(cell: object): unknown {
  if (Array.isArray(cell)) {
    const [escape, content]: readonly unknown[] = cell;
    if (escape === NEGATIVE_ZERO) return -0;
    if (escape === UTF16_TEXT && Buffer.isBuffer(content)) return content.toString('utf16le');
    if (escape === LARGE_INTEGER && typeof content === 'string') return largeInteger(content);
  }
  throw new MalformedValue('A stored object has a cell of an unknown form.');
}

function largeInteger(hexadecimal: string): bigint {
  const digits = hexadecimal.startsWith('-') ? hexadecimal.slice(1) : hexadecimal;
  if (!/^[0-9a-f]+$/.test(digits)) throw new MalformedValue('A large integer has characters that are not digits.');
  const magnitude = BigInt(`0x${digits}`);
  return digits === hexadecimal ? magnitude : -magnitude;
}
