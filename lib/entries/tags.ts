import { LaneCacheError } from '../errors/lane-cache.error.js';
import { kindInWords } from './arguments.js';

const MAX_TAGS = 64;
const MAX_TAG_LENGTH = 256;
const SHOWN_LENGTH = 100;

const NO_TAGS: readonly string[] = Object.freeze([]);

/**
 * The tags, each once, in the order given, frozen. Throws LaneCacheError TAG_INVALID (not a list, or a tag that is not
 * a string, is empty, or is longer than 256 characters) or TOO_MANY_TAGS (over 64 different ones).
 */
export function checkTags(tags: unknown, lane: string): readonly string[] {
  if (!Array.isArray(tags))
    throw invalid(lane, `The tags of an entry are ${kindInWords(tags)}. Pass a list of strings.`);
  if (tags.length === 0) return NO_TAGS;
  const unique = new Set<string>();
  for (const tag of tags as readonly unknown[]) unique.add(checkTag(tag, lane));
  if (unique.size > MAX_TAGS) {
    throw new LaneCacheError(
      'TOO_MANY_TAGS',
      `An entry of lane '${lane}' has ${unique.size} tags, more than ${MAX_TAGS}. Tag with what is invalidated together, not with every part.`,
      { lane },
    );
  }
  return Object.freeze([...unique]);
}

function checkTag(tag: unknown, lane: string): string {
  if (typeof tag !== 'string' || tag === '') {
    throw invalid(lane, `A tag is ${kindInWords(tag)}. Tags are strings of 1 to 256 characters.`);
  }
  if (tag.length > MAX_TAG_LENGTH) {
    throw invalid(
      lane,
      `The tag '${tag.slice(0, SHOWN_LENGTH)}…' has ${tag.length} characters, more than ${MAX_TAG_LENGTH}.`,
    );
  }
  return tag;
}

const invalid = (lane: string, problem: string): LaneCacheError =>
  new LaneCacheError('TAG_INVALID', `${problem} (lane '${lane}')`, { lane });
