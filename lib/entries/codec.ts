import { byteKinds } from './byte-kinds.js';
import { listTypes, StaleType, type TypeEntry } from './cacheable-type.js';
import { containerKinds } from './container-kinds.js';
import { errorKinds } from './error-kinds.js';
import { instanceKind } from './instance-kind.js';
import { MalformedValue, Unstorable, type Kind } from './kind.js';
import { lower, type ValueTable } from './lower.js';
import { MessagePack } from './message-pack.js';
import { isPlain } from './plain.js';
import { raise } from './raise.js';
import { scalarKinds } from './scalar-kinds.js';

/** First bytes of an encoded value. */
const PLAIN = 0x01;
const TABLE = 0x02;

const BUILT_IN = [...containerKinds, ...scalarKinds, ...byteKinds, ...errorKinds];

/** A value as bytes (which may lie in a larger buffer), or why it has none. */
export type Encoded =
  | { readonly storable: true; readonly bytes: Uint8Array }
  | {
      readonly storable: false;
      /** Names the place in the value and what is there: `value.items[3].stream is a function`. */
      readonly reason: string;
    };

/** Whether what was encoded is a tree of ordinary objects, arrays and primitives, and nothing else. */
export const isTree = (bytes: Uint8Array): boolean => bytes[0] === PLAIN;

/**
 * Values as bytes and back, equal in value and type (`util.isDeepStrictEqual`), or not at all.
 *
 * A tree of ordinary objects, arrays and primitives is MessagePack; everything else goes through a table of objects
 * that keeps kinds, cycles and shared references. (Within such a plain tree an object that occurs twice comes back as
 * two equal ones.) Decoding runs no code but the `migrate` of listed types, and makes no instances of others.
 */
export class ValueCodec {
  private readonly messages = new MessagePack();
  private readonly byPrototype: ReadonlyMap<object | null, Kind>;
  private readonly byName: ReadonlyMap<string, Kind>;

  /** `types` are the classes whose instances may be stored. Throws LaneCacheError OPTIONS_INVALID. */
  constructor(types: readonly TypeEntry[] = []) {
    const kinds = [...BUILT_IN, ...listTypes(types).map(instanceKind)];
    this.byPrototype = new Map(kinds.map((kind) => [kind.prototype, kind]));
    this.byName = new Map(kinds.map((kind) => [kind.name, kind]));
  }

  /** Never throws. */
  encode(value: unknown): Encoded {
    try {
      if (isPlain(value)) return { storable: true, bytes: this.messages.pack(value, PLAIN) };
      const { root, rows } = lower(value, this.byPrototype);
      return { storable: true, bytes: this.messages.pack([root, rows], TABLE) };
    } catch (error) {
      return { storable: false, reason: reasonOf(error) };
    }
  }

  /**
   * A new value, sharing nothing with `bytes`. Throws MalformedValue if `bytes` are no encoded value, and StaleType if
   * they hold an instance of a class or version that is no longer known.
   */
  decode(bytes: Uint8Array): unknown {
    const content = bytes.byteLength > 0 ? this.messages.unpack(bytes) : undefined;
    if (bytes[0] === PLAIN) return content;
    if (bytes[0] !== TABLE) throw new MalformedValue('The value is of no known encoding.');
    try {
      return raise(asTable(content), this.byName);
    } catch (error) {
      if (error instanceof StaleType || error instanceof MalformedValue) throw error;
      throw new MalformedValue('The value cannot be put together.', { cause: error });
    }
  }
}

function asTable(content: unknown): ValueTable {
  if (!Array.isArray(content) || content.length !== 2) throw new MalformedValue('The value has no table.');
  const [root, rows]: readonly unknown[] = content;
  if (!Array.isArray(rows) || !rows.every((row): row is unknown[] => Array.isArray(row)))
    throw new MalformedValue('The value has no rows.');
  return { root, rows };
}

function reasonOf(error: unknown): string {
  if (error instanceof Unstorable) return error.message;
  return `value cannot be read: ${describe(error)}`;
}

function describe(error: unknown): string {
  try {
    return error instanceof Error ? error.message : String(error);
  } catch {
    return 'reading it threw something that has no text';
  }
}
