import { LaneCacheError } from '../errors/lane-cache.error.js';

const MAX_LENGTH = 512;
const ANY_RUN = -1;
const ANY_ONE = -2;

/**
 * A pattern of keys: `*` matches any run of characters, `?` exactly one (a code point), everything else itself.
 *
 * The time to match is at most the length of the text times the length of the longest piece between two `*`.
 */
export class KeyPattern {
  /** UTF-16 units, ANY_RUN or ANY_ONE. */
  private readonly parts: readonly number[];

  /** Throws LaneCacheError PATTERN_INVALID if `text` is not a string, is empty, or is longer than 512 characters. */
  constructor(readonly text: string) {
    checkText(text);
    this.parts = Array.from({ length: text.length }, (_, at) => partOf(text, at));
  }

  /** Whether the pattern matches all of `text`. */
  matches(text: string): boolean {
    const { parts } = this;
    let at = 0;
    let part = 0;
    // where to retry the piece after the last `*`: each time one character further on
    let retryAt = 0;
    let retryPart = -1;
    while (at < text.length) {
      const wanted = parts[part];
      if (wanted === ANY_RUN) {
        part += 1;
        retryPart = part;
        retryAt = at;
      } else if (wanted === text.charCodeAt(at)) {
        part += 1;
        at += 1;
      } else if (wanted === ANY_ONE) {
        part += 1;
        at += widthAt(text, at);
      } else if (retryPart >= 0) {
        retryAt += widthAt(text, retryAt);
        at = retryAt;
        part = retryPart;
      } else return false;
    }
    while (parts[part] === ANY_RUN) part += 1;
    return part === parts.length;
  }

  /** Whether it matches the key of an entry, or `tag:key` with one of its tags. */
  matchesEntry(key: string, tags: readonly string[]): boolean {
    if (this.matches(key)) return true;
    for (const tag of tags) if (this.matches(`${tag}:${key}`)) return true;
    return false;
  }
}

function checkText(text: unknown): void {
  if (typeof text === 'string' && text !== '' && text.length <= MAX_LENGTH) return;
  const found = typeof text === 'string' ? `has ${text.length} characters` : `is of type ${typeof text}`;
  throw new LaneCacheError(
    'PATTERN_INVALID',
    `The pattern ${found}. Patterns are strings of 1 to ${MAX_LENGTH} characters; '*' is any run, '?' one character.`,
  );
}

function partOf(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  if (unit === ASTERISK) return ANY_RUN;
  return unit === QUESTION_MARK ? ANY_ONE : unit;
}

const ASTERISK = 0x2a;
const QUESTION_MARK = 0x3f;
const FIRST_SURROGATE = 0xd800;
const LAST_NARROW = 0xffff;

/** UTF-16 units of the character at `at`. */
const widthAt = (text: string, at: number): number =>
  text.charCodeAt(at) >= FIRST_SURROGATE && (text.codePointAt(at) ?? 0) > LAST_NARROW ? 2 : 1;
