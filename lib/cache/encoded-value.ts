import { isTree, notRestorable, type ValueCodec } from '../entries/codec/value-codec.js';
import { freezeCopy, freezeTree } from '../entries/isolation.js';
import type { Isolation } from '../lanes/policy.js';
import type { Held } from '../tiers/memory-tier.js';

/** How values are turned into bytes and back in one lane. */
export interface EncodingContext {
  readonly lane: string;
  readonly codec: ValueCodec;
}

type Frozen = { readonly shareable: true; readonly value: unknown } | { readonly shareable: false };

/** A value with its encoded bytes, and the forms in which callers get it: one frozen copy for all, a copy for each, or itself. */
export class EncodedValue {
  private frozen: Frozen | undefined;
  /** A copy that could not be frozen. The first caller who needs a copy gets it. */
  private spare: { readonly value: unknown } | undefined;

  /** Bytes before `bytes` that nothing uses yet. */
  private room = 0;

  private constructor(
    private readonly context: EncodingContext,
    /** The encoded value. Undefined when it cannot be stored. */
    readonly bytes: Uint8Array | undefined,
    /** Why it cannot be stored. */
    readonly unstorable: string | undefined,
    private readonly original: { readonly value: unknown } | undefined,
    readonly sizeBytes = bytes?.length ?? 0,
  ) {}

  /**
   * Encodes a value that was computed or given, for a lane of this isolation. Never throws: what cannot be encoded,
   * decoded and frozen again is unstorable. A lane that shares its values decodes none.
   */
  static of(context: EncodingContext, value: unknown, isolation: Isolation): EncodedValue {
    const original = { value };
    const result = context.codec.encode(value);
    if (!result.storable) return new EncodedValue(context, undefined, result.reason, original);
    const encoded = new EncodedValue(context, result.bytes, undefined, original);
    encoded.room = result.room;
    try {
      if (typeof value !== 'object' || value === null) encoded.frozen = { shareable: true, value };
      else if (isolation === 'frozen') encoded.frozen = encoded.freeze();
      else if (isolation === 'clone') encoded.spare = { value: context.codec.decode(result.bytes) };
      return encoded;
    } catch (error) {
      return new EncodedValue(context, undefined, notRestorable(error), original);
    }
  }

  /** A value that is returned as it is, because storing it failed. */
  static asItIs(context: EncodingContext, value: unknown, why: string): EncodedValue {
    return new EncodedValue(context, undefined, why, { value });
  }

  /** Decodes a value that a tier had. Throws what the codec throws. */
  static from(context: EncodingContext, bytes: Uint8Array): EncodedValue {
    const opened = context.codec.open(bytes);
    const encoded = new EncodedValue(context, opened.bytes, undefined, undefined);
    encoded.frozen = encoded.frozenOf(opened.value, opened.bytes);
    return encoded;
  }

  /** Wraps a frozen tree that a tier had, and whose bytes nobody has kept. */
  static ofTree(context: EncodingContext, tree: unknown, sizeBytes: number): EncodedValue {
    const shared = { shareable: true, value: tree } as const;
    const encoded = new EncodedValue(context, undefined, undefined, shared, sizeBytes);
    encoded.frozen = shared;
    return encoded;
  }

  /** Wraps what an entry in memory holds. */
  static held(context: EncodingContext, held: Held): EncodedValue {
    if (held.kind === 'bytes') return new EncodedValue(context, held.bytes, undefined, undefined);
    const encoded = new EncodedValue(context, undefined, undefined, held);
    encoded.frozen = { shareable: true, value: held.value };
    return encoded;
  }

  /** How many bytes right before `bytes` the caller may write. They are given away once: two records never share them. */
  takeRoom(): number {
    const { room } = this;
    this.room = 0;
    return room;
  }

  /** What a caller gets. A value that cannot be stored is returned as it is. */
  valueFor(isolation: Isolation): unknown {
    if (isolation === 'shared' && this.original !== undefined) return this.original.value;
    if (isolation === 'clone') return this.clone();
    const frozen = (this.frozen ??= this.original === undefined ? this.freeze() : this.freezeIfPossible());
    return frozen.shareable ? frozen.value : this.clone();
  }

  /** How the lane's memory holds it. */
  heldFor(isolation: Isolation): Held {
    if (isolation === 'shared') return { kind: 'value', value: this.valueFor('shared') };
    const frozen = (this.frozen ??= this.freeze());
    if (isolation === 'frozen' && frozen.shareable) return { kind: 'value', value: frozen.value };
    return this.bytes === undefined
      ? { kind: 'value', value: this.valueFor('shared') }
      : { kind: 'bytes', bytes: this.bytes };
  }

  private freeze(): Frozen {
    const { bytes, context } = this;
    if (bytes === undefined) return { shareable: false };
    const tree = context.codec.decodeTree(bytes, 0, bytes.length);
    return tree === undefined ? this.frozenOf(context.codec.decode(bytes), bytes) : { shareable: true, value: tree };
  }

  /** A lane that shares its values has not decoded them before. */
  private freezeIfPossible(): Frozen {
    try {
      return this.freeze();
    } catch {
      return { shareable: false };
    }
  }

  /** Freezes a value that was decoded from the bytes, if it can be shared. */
  private frozenOf(value: unknown, bytes: Uint8Array): Frozen {
    if (isTree(bytes)) {
      freezeTree(value);
      return { shareable: true, value };
    }
    const frozen = freezeCopy(value, this.context.lane);
    if (!frozen.shareable) this.spare = { value };
    return frozen;
  }

  private clone(): unknown {
    const { spare } = this;
    this.spare = undefined;
    if (spare !== undefined) return spare.value;
    if (this.frozen?.shareable === true && (typeof this.frozen.value !== 'object' || this.frozen.value === null))
      return this.frozen.value;
    const { original } = this;
    if (original === undefined) return this.bytes === undefined ? undefined : this.context.codec.decode(this.bytes);
    return this.unstorable === undefined ? this.copyOf(original.value) : original.value;
  }

  /** The value itself, if it cannot be copied: a lane that shares its values knows that only here. */
  private copyOf(value: unknown): unknown {
    const { codec } = this.context;
    try {
      if (this.bytes !== undefined) return codec.decode(this.bytes);
      const result = codec.encode(value);
      return result.storable ? codec.decode(result.bytes) : value;
    } catch {
      return value;
    }
  }
}
