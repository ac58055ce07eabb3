import { promisify } from 'node:util';
import * as zlib from 'node:zlib';

/** brotli: every Node has it. zstd: Node 22.15 and later. */
export type CompressionCodec = 'brotli' | 'zstd';

/** How values are compressed. */
export interface Compression {
  readonly codec: CompressionCodec;
  /** Shorter values stay as they are. */
  readonly minBytes: number;
}

interface ExpansionOptions {
  readonly maxOutputLength: number;
}

interface Algorithm {
  readonly compressNow: (value: Uint8Array) => Uint8Array;
  readonly compressInPool: (value: Uint8Array) => Promise<Uint8Array>;
  readonly expandNow: (value: Uint8Array, options: ExpansionOptions) => Uint8Array;
  readonly expandInPool: (value: Uint8Array, options: ExpansionOptions) => Promise<Uint8Array>;
}

type Now = (value: Uint8Array, options: object) => Buffer;
type InPool = (value: Uint8Array, options: object, done: (error: Error | null, result: Buffer) => void) => void;

/** What Node 20, and the types of Node 20, do not have. */
interface Zstd {
  readonly zstdCompress: InPool;
  readonly zstdCompressSync: Now;
  readonly zstdDecompress: InPool;
  readonly zstdDecompressSync: Now;
  readonly constants: { readonly ZSTD_c_compressionLevel: number };
}

const hasZstd = (module: object): module is Zstd => 'zstdCompressSync' in module && 'zstdDecompressSync' in module;

const { BROTLI_PARAM_LGWIN, BROTLI_PARAM_QUALITY, BROTLI_PARAM_SIZE_HINT, Z_MIN_CHUNK } = zlib.constants;

/** What a value claims to take is allocated at once up to here. */
const LARGEST_PIECE_BYTES = 1024 * 1024;
/**
 * The output in one piece, if it has this many bytes. Else zlib makes pieces of 16 KB, and copies them together. With one byte
 * more it need not make another piece to see that the output has ended.
 */
const inOnePiece = (byteLength: number) => ({
  chunkSize: Math.min(Math.max(byteLength + 1, Z_MIN_CHUNK), LARGEST_PIECE_BYTES),
});

/**
 * At this quality brotli looks back no further than 256 KB, but compresses each stretch of the length of the window by itself.
 * A document of up to 1 MB is one stretch.
 */
const WINDOW_BITS = 20;

const brotliOptions = ({ byteLength }: Uint8Array) => ({
  ...inOnePiece(byteLength),
  params: { [BROTLI_PARAM_QUALITY]: 1, [BROTLI_PARAM_LGWIN]: WINDOW_BITS, [BROTLI_PARAM_SIZE_HINT]: byteLength },
});
const brotliLimits = (limits: ExpansionOptions) => ({ ...limits, ...inOnePiece(limits.maxOutputLength) });

const BROTLI: Algorithm = {
  compressNow: (value) => zlib.brotliCompressSync(value, brotliOptions(value)),
  compressInPool: (value) => inPool(zlib.brotliCompress, value, brotliOptions(value)),
  expandNow: (value, limits) => zlib.brotliDecompressSync(value, brotliLimits(limits)),
  expandInPool: (value, limits) => inPool(zlib.brotliDecompress, value, brotliLimits(limits)),
};

const zstdOf = (module: Zstd): Algorithm => {
  const options = { params: { [module.constants.ZSTD_c_compressionLevel]: 1 } };
  return {
    compressNow: (value) => module.zstdCompressSync(value, options),
    compressInPool: (value) => inPool(module.zstdCompress, value, options),
    expandNow: (value, limits) => module.zstdDecompressSync(value, limits),
    expandInPool: (value, limits) => inPool(module.zstdDecompress, value, limits),
  };
};

const ZSTD = hasZstd(zlib) ? zstdOf(zlib) : undefined;

/** Promises of `promisify` belong to Node's own realm, and fail `instanceof Promise` inside a test runner. This one does not. */
const inPool = async (work: InPool, value: Uint8Array, options: object): Promise<Uint8Array> =>
  promisify<Uint8Array, object, Uint8Array>(work)(value, options);

/** Undefined where Node does not have it. */
export const algorithmOf = (codec: CompressionCodec): Algorithm | undefined => (codec === 'zstd' ? ZSTD : BROTLI);

/** Compressing this much takes a fraction of a millisecond; more is compressed in the thread pool. */
const COMPRESS_AT_ONCE_BYTES = 32 * 1024;
/** A compressed value that is longer than this share of the original is not worth expanding at every read. */
const WORTHWHILE_SHARE = 0.9;

/**
 * The value compressed, or undefined if it stays as it is: it is shorter than `minBytes`, does not shrink by a tenth, or
 * Node does not have the codec. Values over 32 KB are compressed in the thread pool.
 */
export function compress(
  value: Uint8Array,
  { codec, minBytes }: Compression,
): Uint8Array | undefined | Promise<Uint8Array | undefined> {
  const algorithm = algorithmOf(codec);
  if (algorithm === undefined || value.length < minBytes) return undefined;
  const ifShorter = (compressed: Uint8Array): Uint8Array | undefined =>
    compressed.length <= value.length * WORTHWHILE_SHARE ? compressed : undefined;
  return value.length <= COMPRESS_AT_ONCE_BYTES
    ? ifShorter(algorithm.compressNow(value))
    : algorithm.compressInPool(value).then(ifShorter);
}
