/** Replies as the scripts give them. Each throws for a reply of another shape: it comes from over the network. */

export class UnexpectedReply extends Error {
  override readonly name = 'UnexpectedReply';
}

export function listOf(reply: unknown): readonly unknown[] {
  if (!Array.isArray(reply)) throw new UnexpectedReply('Redis gave something else than a list.');
  return reply;
}

export function textOf(reply: unknown): string {
  if (typeof reply === 'string') return reply;
  if (typeof reply === 'number') return String(reply);
  return bytesOf(reply).toString('utf8');
}

export function bytesOf(reply: unknown): Buffer {
  if (Buffer.isBuffer(reply)) return reply;
  if (reply instanceof Uint8Array) return Buffer.from(reply.buffer, reply.byteOffset, reply.byteLength);
  throw new UnexpectedReply('Redis gave something else than bytes.');
}

export function numberOf(reply: unknown): number {
  const number = typeof reply === 'number' ? reply : Number(textOf(reply));
  if (!Number.isFinite(number)) throw new UnexpectedReply('Redis gave something else than a number.');
  return number;
}

export function textsOf(reply: unknown): readonly string[] {
  return listOf(reply).map(textOf);
}
