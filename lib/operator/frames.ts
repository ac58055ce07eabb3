import type { Socket } from 'node:net';

/** The largest message: a checkpoint of 64 MB with room for what goes with it. */
export const MAX_FRAME_BYTES = 80 * 1024 * 1024;
const HEADER_BYTES = 4;

/** The other end sent what is no message, or sends one that is too large. */
export class BadFrame extends Error {
  override readonly name = 'BadFrame';
}

/** Writes one message, its length first. Whether the socket takes more at once. Throws BadFrame on one that is too large. */
export function writeFrame(socket: Socket, body: Uint8Array): boolean {
  if (body.length > MAX_FRAME_BYTES) throw new BadFrame(`a message of ${body.length} bytes is too large`);
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(body.length);
  socket.cork();
  socket.write(header);
  const takesMore = socket.write(body);
  socket.uncork();
  return takesMore;
}

/** Puts messages together from the pieces in which they arrive. */
export class FrameReader {
  private readonly pieces: Buffer[] = [];
  private waiting = 0;
  private wanted: number | undefined;

  /** Hands over every message that `piece` completes. Throws BadFrame before it holds more than one message may have. */
  push(piece: Buffer, take: (body: Uint8Array) => void): void {
    this.pieces.push(piece);
    this.waiting += piece.length;
    for (;;) {
      this.wanted ??= this.waiting >= HEADER_BYTES ? this.cut(HEADER_BYTES).readUInt32BE() : undefined;
      if (this.wanted === undefined) return;
      if (this.wanted > MAX_FRAME_BYTES) throw new BadFrame(`a message of ${this.wanted} bytes was announced`);
      if (this.waiting < this.wanted) return;
      const body = this.cut(this.wanted);
      this.wanted = undefined;
      take(body);
    }
  }

  private cut(bytes: number): Buffer {
    const [first] = this.pieces;
    const all = this.pieces.length === 1 && first !== undefined ? first : Buffer.concat(this.pieces, this.waiting);
    this.pieces.splice(0);
    if (all.length > bytes) this.pieces.push(all.subarray(bytes));
    this.waiting = all.length - bytes;
    return all.subarray(0, bytes);
  }
}
