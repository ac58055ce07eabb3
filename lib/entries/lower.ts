import { types } from 'node:util';
import { Unstorable, type CellWriter, type Kind, type Place } from './kind.js';
import { isWellFormed } from './well-formed.js';

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
export const NEGATIVE_ZERO = -1;
export const UTF16_TEXT = -2;
export const LARGE_INTEGER = -3;

const LOWEST_INTEGER = -(2n ** 63n);
const BEYOND_INTEGER = 2n ** 64n;

/** Throws Unstorable, naming the path, for what the table cannot hold faithfully. */
export function lower(value: unknown, kinds: ReadonlyMap<object | null, Kind>): ValueTable {
  return new Lowering(kinds).table(value);
}

class Lowering implements CellWriter {
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
      rows.push([kind.name, ...kind.lower(object, this)]);
    }
    return { root, rows };
  }

  cell(value: unknown, place: Place): unknown {
    switch (typeof value) {
      case 'string':
        return isWellFormed(value) ? value : [UTF16_TEXT, Buffer.from(value, 'utf16le')];
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
