import type { LogCursor } from '../invalidation/shared-log.js';
import type { LogPlace } from '../storage/host-log/log-files.js';

/*
 * Entries travel between processes as raw frames, within the frames of `protocol.ts`: their first byte begins no other
 * message. Numbers are big-endian, texts are UTF-16, which keeps every key as it is.
 *
 * | bytes | what |
 * | ----: | ---- |
 * |     1 | 0xC1 |
 * |     1 | what it is |
 * |     4 | number of the question |
 * |    16 | generation of the log |
 * |     8 | position in the log |
 * |     8 | life time of the sender |
 * |    16 | generation of the server's log |
 * |     8 | sequence number that the sender has followed there. -1 without a server |
 * |       | the items |
 */
const FIRST = 0xc1;
const HEAD_BYTES = 62;
const NO_SERVER = -1;
const ANSWER_BYTES = 13;
const NUMBER_BYTES = 8;

/**
 * `sync` asks for an answer once everything offered before is stored. `drop`: a newer value than the owner's is not offered.
 * `usage` asks how much there is of some lanes. `peek` is a `read` that does not count as use.
 */
const KINDS = ['read', 'found', 'offer', 'sync', 'synced', 'drop', 'usage', 'used', 'peek'] as const;
type FrameKind = (typeof KINDS)[number];

/** What other processes call for the keys of a lane. */
export const KEYS_CALL = 'entries.keys';

export interface FrameHead extends Pick<LogPlace, 'generation' | 'position'> {
  readonly kind: FrameKind;
  readonly id: number;
  /** Epoch ms, by the sender's life clock. */
  readonly time: number;
  /** How far the sender has followed the server's log. Undefined without a server. */
  readonly server: LogCursor | undefined;
}

export interface EntryName {
  readonly lane: string;
  readonly key: string;
}

/** What the owner found, in the order of the question. */
export type FoundEntry =
  | { readonly outcome: 'miss' | 'off' }
  | { readonly outcome: 'hit'; readonly expiresAt: number; readonly bytes: Uint8Array };

/** How much there is of a lane. */
export interface LaneUsage {
  readonly lane: string;
  readonly entries: number;
  readonly sizeBytes: number;
}

export const isEntryFrame = (body: Uint8Array): boolean => body[0] === FIRST;

export function encodeHead(head: FrameHead): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES);
  bytes[0] = FIRST;
  bytes[1] = KINDS.indexOf(head.kind);
  bytes.writeUInt32BE(head.id, 2);
  bytes.write(head.generation, 6, 16, 'hex');
  bytes.writeDoubleBE(head.position, 22);
  bytes.writeDoubleBE(head.time, 30);
  bytes.write(head.server?.generation ?? '', 38, 16, 'hex');
  bytes.writeDoubleBE(head.server?.sequence ?? NO_SERVER, 54);
  return bytes;
}

/** Throws RangeError or TypeError for what is no such frame. */
export function decodeHead(body: Buffer): FrameHead {
  const kind = KINDS[body.readUInt8(1)];
  if (kind === undefined) throw new TypeError('a frame of an unknown kind');
  const sequence = body.readDoubleBE(54);
  return {
    kind,
    id: body.readUInt32BE(2),
    generation: body.toString('hex', 6, 22),
    position: body.readDoubleBE(22),
    time: body.readDoubleBE(30),
    server: sequence === NO_SERVER ? undefined : { generation: body.toString('hex', 38, 54), sequence },
  };
}

export function encodeNames(head: FrameHead, entries: readonly EntryName[]): Buffer {
  const parts = [encodeHead(head)];
  for (const { lane, key } of entries) parts.push(textOf(lane), textOf(key));
  return Buffer.concat(parts);
}

export function decodeNames(body: Buffer): readonly EntryName[] {
  const reader = new Reader(body);
  const entries: EntryName[] = [];
  while (!reader.isAtEnd) entries.push({ lane: reader.text(), key: reader.text() });
  return entries;
}

export function encodeFound(head: FrameHead, found: readonly FoundEntry[]): Buffer {
  const parts = [encodeHead(head)];
  for (const entry of found) {
    const item = Buffer.alloc(ANSWER_BYTES);
    parts.push(item);
    if (entry.outcome === 'off') item[0] = 2;
    if (entry.outcome !== 'hit') continue;
    item[0] = 1;
    item.writeDoubleBE(entry.expiresAt, 1);
    item.writeUInt32BE(entry.bytes.length, 9);
    parts.push(Buffer.from(entry.bytes.buffer, entry.bytes.byteOffset, entry.bytes.byteLength));
  }
  return Buffer.concat(parts);
}

export function decodeFound(body: Buffer): readonly FoundEntry[] {
  const reader = new Reader(body);
  const found: FoundEntry[] = [];
  while (!reader.isAtEnd) {
    const item = reader.take(ANSWER_BYTES);
    const bytes = reader.take(item.readUInt32BE(9));
    if (item[0] === 1) found.push({ outcome: 'hit', expiresAt: item.readDoubleBE(1), bytes });
    else found.push({ outcome: item[0] === 2 ? 'off' : 'miss' });
  }
  return found;
}

/** In `usage` the numbers are 0. */
export function encodeUsage(head: FrameHead, lanes: readonly LaneUsage[]): Buffer {
  const parts = [encodeHead(head)];
  for (const { lane, entries, sizeBytes } of lanes) {
    const numbers = Buffer.allocUnsafe(2 * NUMBER_BYTES);
    numbers.writeDoubleBE(entries);
    numbers.writeDoubleBE(sizeBytes, NUMBER_BYTES);
    parts.push(textOf(lane), numbers);
  }
  return Buffer.concat(parts);
}

export function decodeUsage(body: Buffer): readonly LaneUsage[] {
  const reader = new Reader(body);
  const lanes: LaneUsage[] = [];
  while (!reader.isAtEnd) {
    const lane = reader.text();
    const numbers = reader.take(2 * NUMBER_BYTES);
    lanes.push({ lane, entries: numbers.readDoubleBE(), sizeBytes: numbers.readDoubleBE(NUMBER_BYTES) });
  }
  return lanes;
}

export function encodeOffer(head: FrameHead, lane: string, record: Uint8Array): Buffer {
  return Buffer.concat([encodeHead(head), textOf(lane), record]);
}

export function decodeOffer(body: Buffer): { readonly lane: string; readonly record: Buffer } {
  const reader = new Reader(body);
  return { lane: reader.text(), record: reader.rest() };
}

function textOf(text: string): Buffer {
  const bytes = Buffer.allocUnsafe(4 + 2 * text.length);
  bytes.writeUInt32BE(2 * text.length);
  bytes.write(text, 4, 'utf16le');
  return bytes;
}

class Reader {
  private at = HEAD_BYTES;

  constructor(private readonly body: Buffer) {
    if (body.length < HEAD_BYTES) throw new RangeError('a frame without a head');
  }

  get isAtEnd(): boolean {
    return this.at === this.body.length;
  }

  take(length: number): Buffer {
    const end = this.at + length;
    if (end > this.body.length) throw new RangeError('a frame that ends too soon');
    const bytes = this.body.subarray(this.at, end);
    this.at = end;
    return bytes;
  }

  text(): string {
    return this.take(this.take(4).readUInt32BE()).toString('utf16le');
  }

  rest(): Buffer {
    return this.take(this.body.length - this.at);
  }
}
