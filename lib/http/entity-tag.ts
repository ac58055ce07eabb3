import { createHash } from 'node:crypto';

/** A weak tag of what a handler gave, or undefined if it has no JSON. Weak, because the bytes are made from it later. */
export function entityTagOf(body: unknown): string | undefined {
  const text = typeof body === 'string' ? body : jsonOf(body);
  if (text === undefined) return undefined;
  const hash = createHash('sha256').update(text, 'utf8').digest('base64url').slice(0, 27);
  return `W/"${Buffer.byteLength(text).toString(16)}-${hash}"`;
}

/** Whether the copy that who asks holds is still good, by `If-None-Match`. Strong and weak tags are the same here. */
export function isHeldBy(ifNoneMatch: unknown, tag: string): boolean {
  if (typeof ifNoneMatch !== 'string') return false;
  if (ifNoneMatch.trim() === '*') return true;
  const opaque = opaqueTag(tag);
  return (ifNoneMatch.match(/(?:W\/)?"[^"]*"/g) ?? []).some((held) => opaqueTag(held) === opaque);
}

const opaqueTag = (tag: string): string => (tag.startsWith('W/') ? tag.slice(2) : tag);

function jsonOf(body: unknown): string | undefined {
  try {
    return JSON.stringify(body);
  } catch {
    // a cycle or a bigint: whoever sends it will say so
    return undefined;
  }
}
