import { LaneCacheError } from '../errors/lane-cache.error.js';
import { kindInWords } from './arguments.js';

const MAX_LENGTH = 512;

/**
 * A pattern of keys: `*` matches any run of characters, `?` exactly one (a code point), everything else itself.
 *
 * The time to match is at most the length of the text, for each 32 characters of the longest piece between two `*`.
 */
export class KeyPattern {
  /** The pieces between the `*`. The first one starts the text, the last one ends it; a single one is all of it. */
  private readonly pieces: readonly Piece[];

  /** Throws LaneCacheError PATTERN_INVALID if `text` is not a string, is empty, or is longer than 512 characters. */
  constructor(readonly text: string) {
    checkPattern(text);
    this.pieces = text.split('*').map((piece) => new Piece(piece));
  }

  /** Whether the pattern matches all of `text`. */
  matches(text: string): boolean {
    const { pieces } = this;
    const [first = EMPTY, last = EMPTY] = [pieces[0], pieces.at(-1)];
    const begin = first.endFrom(text, 0);
    if (pieces.length === 1 || begin === NOWHERE) return begin === text.length;
    const end = last.startUpTo(text);
    let at = begin;
    for (let index = 1; index < pieces.length - 1; index++) {
      at = pieces[index]?.endOfFirst(text, at, end) ?? NOWHERE;
      if (at === NOWHERE) return false;
    }
    return at <= end;
  }

  /** Whether it matches a key, or what a Keyv store was given as the key, without the prefix that the store adds. */
  matchesKey(key: string): boolean {
    if (this.matches(key)) return true;
    return !this.isOfStore && keysGivenToStore(key).some((given) => this.matches(given));
  }

  /** Whether it matches the key of an entry, as `matchesKey`, or `tag:key` with one of its tags. */
  matchesEntry(key: string, tags: readonly string[]): boolean {
    if (this.matchesKey(key)) return true;
    for (const tag of tags) if (this.matches(`${tag}:${key}`)) return true;
    return false;
  }

  /** Whether it is about the prefix of a store itself. */
  private get isOfStore(): boolean {
    return this.text.startsWith(STORE);
  }
}

/** What the keys of Keyv stores begin with, before a namespace without `:`. */
const STORE = 'keyv:';

/** The prefix of the keys of a store whose namespace is written as `segment`. */
export const storePrefix = (segment: string): string => `${STORE}${segment}:`;

/** What the store was given, and that without the namespace, which Keyv puts in front of the key as well. */
function keysGivenToStore(key: string): readonly string[] {
  const end = key.startsWith(STORE) ? key.indexOf(':', STORE.length) : NOWHERE;
  if (end === NOWHERE) return [];
  const given = key.slice(end + 1);
  const namespace = `${key.slice(STORE.length, end).split('+').at(-1)}:`;
  return given.startsWith(namespace) ? [given, given.slice(namespace.length)] : [given];
}

/** The text of a pattern. Throws LaneCacheError PATTERN_INVALID. */
export function checkPattern(text: unknown): string {
  if (typeof text === 'string' && text !== '' && text.length <= MAX_LENGTH) return text;
  const isLong = typeof text === 'string' && text !== '';
  const found = isLong ? `has ${text.length} characters` : `is ${kindInWords(text)}`;
  throw new LaneCacheError(
    'PATTERN_INVALID',
    `The pattern ${found}. Patterns are strings of 1 to ${MAX_LENGTH} characters; '*' is any run, '?' one character.`,
  );
}

const NOWHERE = -1;
const QUESTION_MARK = 0x3f;
const FIRST_SURROGATE = 0xd800;
const LAST_NARROW = 0xffff;
const WORD_BITS = 32;

/** A part of a pattern without `*`. Places in texts are in UTF-16 units; NOWHERE if the piece does not fit. */
class Piece {
  private readonly hasAnyOne: boolean;
  private readonly characters: readonly number[];
  /** Made by the first search that needs it. */
  private automaton: PieceAutomaton | undefined;

  constructor(private readonly text: string) {
    this.hasAnyOne = text.includes('?');
    this.characters = Array.from(text, (character) => character.codePointAt(0) ?? 0);
  }

  /** Where the piece ends that starts at `from`. */
  endFrom(text: string, from: number): number {
    if (!this.hasAnyOne) return text.startsWith(this.text, from) ? from + this.text.length : NOWHERE;
    let at = from;
    for (const character of this.characters) {
      const found = text.codePointAt(at);
      if (found === undefined || (character !== QUESTION_MARK && character !== found)) return NOWHERE;
      at += widthOf(found);
    }
    return at;
  }

  /** Where the piece starts that ends with the text. */
  startUpTo(text: string): number {
    if (!this.hasAnyOne) return text.endsWith(this.text) ? text.length - this.text.length : NOWHERE;
    let at = text.length;
    for (let index = this.characters.length - 1; index >= 0; index--) {
      if (at === 0) return NOWHERE;
      at -= widthBefore(text, at);
      if (this.characters[index] !== QUESTION_MARK && this.characters[index] !== text.codePointAt(at)) return NOWHERE;
    }
    return at;
  }

  /** Where the first one ends that starts at `from` or later and ends at `until` at the latest. */
  endOfFirst(text: string, from: number, until: number): number {
    if (this.characters.length === 0) return from;
    this.automaton ??= new PieceAutomaton(this.characters);
    return this.automaton.endOfFirst(text, from, until);
  }
}

const EMPTY = new Piece('');

/**
 * Finds a piece in one pass over the text: a bit for each beginning of the piece that the text read so far ends with
 * (the Shift-And algorithm; Baeza-Yates and Gonnet, 1992).
 */
class PieceAutomaton {
  private readonly words: number;
  /** For each character, the places of the piece that it fits. */
  private readonly fits = new Map<number, Uint32Array>();
  private readonly fitsAny: Uint32Array;
  private readonly state: Uint32Array;

  constructor(private readonly characters: readonly number[]) {
    this.words = Math.ceil(characters.length / WORD_BITS);
    this.fitsAny = new Uint32Array(this.words);
    this.state = new Uint32Array(this.words);
    for (const [place, character] of characters.entries()) if (character === QUESTION_MARK) mark(this.fitsAny, place);
    for (const [place, character] of characters.entries()) {
      if (character === QUESTION_MARK) continue;
      const places = this.fits.get(character) ?? Uint32Array.from(this.fitsAny);
      mark(places, place);
      this.fits.set(character, places);
    }
  }

  endOfFirst(text: string, from: number, until: number): number {
    const { state, words } = this;
    const last = this.characters.length - 1;
    const lastWord = last >>> 5;
    const lastBit = 1 << (last & (WORD_BITS - 1));
    state.fill(0);
    for (let at = from; at < until;) {
      const character = text.codePointAt(at) ?? 0;
      at += widthOf(character);
      const fits = this.fits.get(character) ?? this.fitsAny;
      let carry = 1;
      for (let word = 0; word < words; word++) {
        const before = state[word] ?? 0;
        state[word] = ((before << 1) | carry) & (fits[word] ?? 0);
        carry = before >>> 31;
      }
      if (((state[lastWord] ?? 0) & lastBit) !== 0) return at;
    }
    return NOWHERE;
  }
}

function mark(places: Uint32Array, place: number): void {
  places[place >>> 5] = (places[place >>> 5] ?? 0) | (1 << (place & (WORD_BITS - 1)));
}

const widthOf = (character: number): number => (character > LAST_NARROW ? 2 : 1);

/** UTF-16 units of the character that ends before `at`. */
const widthBefore = (text: string, at: number): number =>
  at > 1 && text.charCodeAt(at - 1) >= FIRST_SURROGATE && (text.codePointAt(at - 2) ?? 0) > LAST_NARROW ? 2 : 1;
