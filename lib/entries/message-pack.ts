import { Packr, RESERVE_START_SPACE } from 'msgpackr';
import { MalformedValue } from './kind.js';

/**
 * MessagePack for plain trees of objects, arrays, primitives and byte strings, each message complete in itself.
 *
 * What is decoded may come from anybody who can write to the store, so every message is checked to be such a tree
 * before a decoder sees it: no extensions (which could compile record readers), no lengths beyond the bytes there are.
 */
export class MessagePack {
  private readonly packr = new Packr({ useRecords: false, variableMapSize: true });
  /** msgpackr keeps a view with each buffer that it reads, and reads small messages twice as fast where it has one. */
  private readonly desk = Buffer.alloc(DESK_BYTES);

  /** The message behind one byte that is the caller's to use. The result may be part of a larger buffer. */
  pack(value: unknown, firstByte: number): Uint8Array {
    const bytes = this.packr.pack(value, RESERVE_START_SPACE | 1);
    bytes[0] = firstByte;
    return bytes;
  }

  /**
   * Reads the message behind the first byte. Byte strings in it are views of `bytes`, or of what the next message
   * overwrites. Throws MalformedValue.
   */
  unpack(bytes: Uint8Array): unknown {
    const isSmall = bytes.byteLength <= DESK_BYTES;
    if (isSmall) this.desk.set(bytes);
    const message = isSmall ? this.desk : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    checkMessage(message, bytes.byteLength);
    try {
      return this.packr.unpack(message, new MessageSpan(bytes.byteLength));
    } catch (cause) {
      throw new MalformedValue('The value cannot be read.', { cause });
    }
  }
}

const DESK_BYTES = 32 * 1024;

/** Where a message lies that has one byte before it. */
class MessageSpan {
  readonly start = 1;

  constructor(readonly end: number) {}
}

/**
 * Walks over the tokens of the message, behind the first byte and before `end`, without building anything. A token that
 * reaches beyond the end is told by where it leads.
 */
function checkMessage(message: Buffer, end: number): void {
  let position = 1;
  for (let pending = 1; pending > 0; pending -= 1) {
    // every value takes a byte at least, so a length that promises more values than bytes is a lie
    if (pending > end - position) throw new MalformedValue('The value is cut off.');
    const token = message[position] ?? 0xc1;
    position += 1;
    if (token < 0x80 || token >= 0xe0) continue;
    if (token < 0x90) pending += (token & 0x0f) * 2;
    else if (token < 0xa0) pending += token & 0x0f;
    else if (token < 0xc0) position += token & 0x1f;
    else {
      const step = longToken(message, token, position);
      position += step.bytes;
      pending += step.values;
    }
  }
  if (position !== end) throw new MalformedValue('The value has another length than its bytes.');
}

interface TokenStep {
  /** How many bytes belong to the token itself. */
  readonly bytes: number;
  /** How many values follow as its content. */
  readonly values: number;
}

const leaf = (bytes: number): TokenStep => ({ bytes, values: 0 });

function longToken(message: Buffer, token: number, position: number): TokenStep {
  switch (token) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return leaf(0);
    case 0xc4: // byte strings and texts, by the width of their length
    case 0xd9:
      return leaf(1 + sizeAt(message, position, 1));
    case 0xc5:
    case 0xda:
      return leaf(2 + sizeAt(message, position, 2));
    case 0xc6:
    case 0xdb:
      return leaf(4 + sizeAt(message, position, 4));
    case 0xcc: // numbers, by their width
    case 0xd0:
      return leaf(1);
    case 0xcd:
    case 0xd1:
      return leaf(2);
    case 0xce:
    case 0xd2:
      return leaf(4);
    case 0xcb:
    case 0xcf:
    case 0xd3:
      return leaf(8);
    case 0xd4: // the one extension in use: undefined
      if (message[position] === 0 && message[position + 1] === 0) return leaf(2);
      break;
    case 0xdc: // arrays
      return { bytes: 2, values: sizeAt(message, position, 2) };
    case 0xdd:
      return { bytes: 4, values: sizeAt(message, position, 4) };
    case 0xde: // objects
      return { bytes: 2, values: sizeAt(message, position, 2) * 2 };
    case 0xdf:
      return { bytes: 4, values: sizeAt(message, position, 4) * 2 };
  }
  throw new MalformedValue(`The value holds the token ${token}, which is never written.`);
}

function sizeAt(message: Buffer, position: number, width: number): number {
  if (position + width > message.length) throw new MalformedValue('The value is cut off.');
  return message.readUIntBE(position, width);
}
