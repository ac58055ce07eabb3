import { isTree, type ValueCodec } from '../entries/codec/value-codec.js';
import { freezeCopy, freezeTree } from '../entries/isolation.js';
import type { Isolation } from '../lanes/policy.js';
import type { Held } from '../tiers/memory-tier.js';

/** How values are turned into bytes and back in one lane. */
export interface EncodingContext {
  readonly lane: string;
  readonly codec: ValueCodec;
}

type Frozen = { readonly shareable: true; readonly value: unknown } | { readonly shareable: false };

/** A value, and the forms in which it is given out: one frozen copy for all, a copy for each, or itself. */
export class EncodedValue {
  private frozen: Frozen | undefined;
  /** A copy that was to be frozen and could not be; whoever needs a copy first gets it. */
  private spare: { readonly value: unknown } | undefined;

  private constructor(
    private readonly context: EncodingContext,
    /** The encoded value; undefined when it can't be stored. */
    readonly bytes: Uint8Array | undefined,
    /** Why it can't be stored. */
    readonly unstorable: string | undefined,
    private readonly original: { readonly value: unknown } | undefined,
  ) {}

  /** Of a value that was just computed or given. */
  static of(context: EncodingContext, value: unknown): EncodedValue {
    const result = context.codec.encode(value);
    if (!result.storable) return new EncodedValue(context, undefined, result.reason, { value });
    const encoded = new EncodedValue(context, result.bytes, undefined, { value });
    if (isImmutable(value)) encoded.frozen = { shareable: true, value };
    return encoded;
  }

  /** Of a value that was found in a tier. Throws what the codec throws. */
  static from(context: EncodingContext, bytes: Uint8Array): EncodedValue {
    const encoded = new EncodedValue(context, bytes, undefined, undefined);
    encoded.shareable();
    return encoded;
  }

  /** Of an entry in memory. */
  static held(context: EncodingContext, held: Held): EncodedValue {
    if (held.kind === 'bytes') return new EncodedValue(context, held.bytes, undefined, undefined);
    const encoded = new EncodedValue(context, undefined, undefined, held);
    encoded.frozen = { shareable: true, value: held.value };
    return encoded;
  }

  get sizeBytes(): number {
    return this.bytes?.length ?? 0;
  }

  /** What a caller gets. A value that can't be stored is given as it is. */
  valueFor(isolation: Isolation): unknown {
    if (isolation === 'shared' && this.original !== undefined) return this.original.value;
    if (isolation === 'clone') return this.clone();
    const frozen = this.shareable();
    return frozen.shareable ? frozen.value : this.clone();
  }

  /** How the lane's memory holds it. */
  heldFor(isolation: Isolation): Held {
    if (isolation === 'shared') return { kind: 'value', value: this.valueFor('shared') };
    const frozen = this.shareable();
    if (isolation === 'frozen' && frozen.shareable) return { kind: 'value', value: frozen.value };
    return this.bytes === undefined
      ? { kind: 'value', value: this.valueFor('shared') }
      : { kind: 'bytes', bytes: this.bytes };
  }

  private shareable(): Frozen {
    this.frozen ??= this.freeze();
    return this.frozen;
  }

  private freeze(): Frozen {
    if (this.bytes === undefined) return { shareable: false };
    const value = this.context.codec.decode(this.bytes);
    if (isTree(this.bytes)) {
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
    if (this.frozen?.shareable === true && isImmutable(this.frozen.value)) return this.frozen.value;
    if (this.bytes !== undefined) return this.context.codec.decode(this.bytes);
    const value = this.original === undefined ? undefined : this.original.value;
    const result = this.context.codec.encode(value);
    return result.storable ? this.context.codec.decode(result.bytes) : value;
  }
}

function isImmutable(value: unknown): boolean {
  return (typeof value !== 'object' && typeof value !== 'function') || value === null;
}
