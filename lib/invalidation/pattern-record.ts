import type { KeyPattern } from '../entries/pattern.js';

/** A pattern that was named, and when. */
export interface PatternRecord {
  readonly pattern: KeyPattern;
  readonly position: number;
}
