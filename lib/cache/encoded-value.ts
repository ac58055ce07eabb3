import { isTree, type ValueCodec } from '../entries/codec/value-codec.js';
import { freezeCopy, freezeTree } from '../entries/isolation.js';
import type { Isolation } from '../lanes/policy.js';
import type { Held } from '../tiers/memory-tier.js';

/** How values are turned into bytes and back in one lane. */
export interface PayloadContext {
  readonly lane: string;
  readonly codec: ValueCodec;
}

type Frozen = { readonly shareable: true; readonly value: unknown } | { readonly shareable: false };

/** A value, and the forms in which it is given out: one frozen copy for all, a copy for each, or itself. */
export class Payload {
  private frozen: Frozen | undefined;
  /** A copy that was to be frozen and could not be; whoever needs a copy first gets it. */
  private spare: { readonly value: unknown } | undefined;

  private constructor(
    private readonly context: PayloadContext,
    /** The encoded value; undefined when it can't be stored. */
    readonly bytes: Uint8Array | undefined,
    /** Why it can't be stored. */
    readonly unstorable: string | undefined,
    private readonly original: { readonly value: unknown } | undefined,
  ) {}

  /** Of a value that was just computed or given. */
  static of(context: PayloadContext, value: unknown): Payload {
    const encoded = context.codec.encode(value);
    if (!encoded.storable) return new Payload(context, undefined, encoded.reason, { value });
    const payload = new Payload(context, encoded.bytes, undefined, { value });
    if (isImmutable(value)) payload.frozen = { shareable: true, value };
    return payload;
  }

  /** Of a value that was found in a tier. Throws what the codec throws. */
  static from(context: PayloadContext, bytes: Uint8Array): Payload {
    const payload = new Payload(context, bytes, undefined, undefined);
    payload.shareable();
    return payload;
  }

  /** Of an entry in memory. */
  static held(context: PayloadContext, held: Held): Payload {
    if (held.kind === 'bytes') return new Payload(context, held.bytes, undefined, undefined);
    const payload = new Payload(context, undefined, undefined, held);
    payload.frozen = { shareable: true, value: held.value };
    return payload;
  }

  get sizeBytes(): number {
    return this.bytes?.length ?? 0;
  }

  /** What a caller gets. A value that can't be stored is given as it is. */
  give(isolation: Isolation): unknown {
    if (isolation === 'shared' && this.original !== undefined) return this.original.value;
    if (isolation === 'clone') return this.clone();
    const frozen = this.shareable();
    return frozen.shareable ? frozen.value : this.clone();
  }

  /** How the lane's memory holds it. */
  hold(isolation: Isolation): Held {
    if (isolation === 'shared') return { kind: 'value', value: this.give('shared') };
    const frozen = this.shareable();
    if (isolation === 'frozen' && frozen.shareable) return { kind: 'value', value: frozen.value };
    return this.bytes === undefined
      ? { kind: 'value', value: this.give('shared') }
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
    const encoded = this.context.codec.encode(value);
    return encoded.storable ? this.context.codec.decode(encoded.bytes) : value;
  }
}

function isImmutable(value: unknown): boolean {
  return (typeof value !== 'object' && typeof value !== 'function') || value === null;
}
