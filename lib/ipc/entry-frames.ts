import type { LogCursor } from '../invalidation/shared-log.js';
import type { LogPlace } from '../storage/files/log-files.js';

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
/** Each answer begins with the number of one of these. */
const ANSWERS = ['miss', 'hit', 'off', 'unreadable'] as const satisfies readonly FoundEntry['outcome'][];

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
  | { readonly outcome: 'miss' | 'off' | 'unreadable' }
  | { readonly outcome: 'hit'; readonly expiresAt: number; readonly bytes: Uint8Array };

/** What another process computed. */
export interface Offer {
  readonly lane: string;
  readonly turn: string;
  readonly record: Buffer;
}

/** How much there is of a lane. */
export interface LaneUsage {
  readonly lane: string;
  readonly entries: number;
  readonly sizeBytes: number;
}

export const isEntryFrame = (body: Uint8Array): boolean => body[0] === FIRST;

export const encodeHead = (head: FrameHead): Buffer => frameOf(head, 0);

/** A frame with room for `bytes` behind its head. */
function frameOf(head: FrameHead, bytes: number): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + bytes);
  frame[0] = FIRST;
  frame[1] = KINDS.indexOf(head.kind);
  frame.writeUInt32BE(head.id, 2);
  frame.write(head.generation, 6, 16, 'hex');
  frame.writeDoubleBE(head.position, 22);
  frame.writeDoubleBE(head.time, 30);
  if (head.server === undefined) frame.fill(0, 38, 54);
  else frame.write(head.server.generation, 38, 16, 'hex');
  frame.writeDoubleBE(head.server?.sequence ?? NO_SERVER, 54);
  return frame;
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
  let bytes = 0;
  for (const { lane, key } of entries) bytes += bytesOfText(lane) + bytesOfText(key);
  const frame = frameOf(head, bytes);
  let at = HEAD_BYTES;
  for (const { lane, key } of entries) at = writeText(frame, key, writeText(frame, lane, at));
  return frame;
}

export function decodeNames(body: Buffer): readonly EntryName[] {
  const reader = new Reader(body);
  const entries: EntryName[] = [];
  while (!reader.isAtEnd) entries.push({ lane: reader.text(), key: reader.text() });
  return entries;
}

/** Of the entries in one answer. More would not arrive in time. */
const MAX_FOUND_BYTES = 64 * 1024 ** 2;
const OFF: FoundEntry = Object.freeze({ outcome: 'off' });

/** Entries that do not fit into one answer are 'off' in it. One alone always fits. */
export function encodeFound(head: FrameHead, found: readonly FoundEntry[]): Buffer {
  const sent = bytesOfFound(found) > MAX_FOUND_BYTES ? fitting(found) : found;
  const frame = frameOf(head, ANSWER_BYTES * sent.length + bytesOfFound(sent));
  let at = HEAD_BYTES;
  for (const entry of sent) {
    const isHit = entry.outcome === 'hit';
    frame[at] = ANSWERS.indexOf(entry.outcome);
    frame.writeDoubleBE(isHit ? entry.expiresAt : 0, at + 1);
    frame.writeUInt32BE(isHit ? entry.bytes.length : 0, at + 9);
    at += ANSWER_BYTES;
    if (!isHit) continue;
    frame.set(entry.bytes, at);
    at += entry.bytes.length;
  }
  return frame;
}

function bytesOfFound(found: readonly FoundEntry[]): number {
  let bytes = 0;
  for (const entry of found) if (entry.outcome === 'hit') bytes += entry.bytes.length;
  return bytes;
}

function fitting(found: readonly FoundEntry[]): readonly FoundEntry[] {
  let bytes = 0;
  return found.map((entry) => {
    if (entry.outcome !== 'hit') return entry;
    if (bytes > 0 && bytes + entry.bytes.length > MAX_FOUND_BYTES) return OFF;
    bytes += entry.bytes.length;
    return entry;
  });
}

export function decodeFound(body: Buffer): readonly FoundEntry[] {
  const reader = new Reader(body);
  const found: FoundEntry[] = [];
  while (!reader.isAtEnd) {
    const item = reader.take(ANSWER_BYTES);
    const bytes = reader.take(item.readUInt32BE(9));
    const outcome = ANSWERS[item.readUInt8()] ?? 'miss';
    found.push(outcome === 'hit' ? { outcome, expiresAt: item.readDoubleBE(1), bytes } : { outcome });
  }
  return found;
}

/** In `usage` the numbers are 0. */
export function encodeUsage(head: FrameHead, lanes: readonly LaneUsage[]): Buffer {
  let bytes = 0;
  for (const { lane } of lanes) bytes += bytesOfText(lane) + 2 * NUMBER_BYTES;
  const frame = frameOf(head, bytes);
  let at = HEAD_BYTES;
  for (const { lane, entries, sizeBytes } of lanes) {
    at = frame.writeDoubleBE(entries, writeText(frame, lane, at));
    at = frame.writeDoubleBE(sizeBytes, at);
  }
  return frame;
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

/** `turn`: the lease under which the value was computed, or ''. */
export function encodeOffer(head: FrameHead, lane: string, record: Uint8Array, turn = ''): Buffer {
  const frame = frameOf(head, bytesOfText(lane) + bytesOfText(turn) + record.length);
  frame.set(record, writeText(frame, turn, writeText(frame, lane, HEAD_BYTES)));
  return frame;
}

export function decodeOffer(body: Buffer): Offer {
  const reader = new Reader(body);
  return { lane: reader.text(), turn: reader.text(), record: reader.rest() };
}

const LENGTH_BYTES = 4;
const bytesOfText = (text: string): number => LENGTH_BYTES + 2 * text.length;

/** Returns where the next item begins. */
function writeText(frame: Buffer, text: string, at: number): number {
  const start = frame.writeUInt32BE(2 * text.length, at);
  return start + frame.write(text, start, 'utf16le');
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
    return this.take(this.take(LENGTH_BYTES).readUInt32BE()).toString('utf16le');
  }

  rest(): Buffer {
    return this.take(this.body.length - this.at);
  }
}
