import { createHash } from 'node:crypto';

/** Names that can be told from each other in a key, and mean themselves in a pattern. */
const PLAIN = /^[\w.@/-]{1,128}$/;

/**
 * What the keys of a store begin with, in the lane and in patterns of it. A store has a namespace of its own, and gets
 * another one from Keyv; no two pairs of different names begin alike.
 */
export function keySpace(own: string | undefined, keyvs: string | undefined): string {
  if (own === undefined || own === keyvs) return `keyv:${segment(keyvs)}:`;
  return keyvs === undefined ? `keyv:${segment(own)}:` : `keyv:${segment(own)}+${segment(keyvs)}:`;
}

function segment(name: string | undefined): string {
  if (name === undefined || PLAIN.test(name)) return name ?? '';
  return `#${createHash('sha256').update(name, 'utf16le').digest('hex')}`;
}
