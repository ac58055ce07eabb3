import type { LaneCacheErrorCode } from '../errors/lane-cache.error.js';

/** What the value of an option may be. */
export interface Kind<out T> {
  /** What follows 'must be' in an error. */
  readonly wants: string;
  /** The value as it is used from then on; undefined if it is of another kind. `path` names the option in errors. */
  readonly take: (value: unknown, path: string) => T | undefined;
  /** Code of the error about a wrong value, where it is not the code of the bag. */
  readonly code?: LaneCacheErrorCode;
  readonly isRequired?: boolean;
}

/** What is wrong with an option, thrown on the way to the bag that makes an error of it. */
export class Refusal {
  constructor(
    /** Of the option at fault, from the outermost bag on; '' for the bag itself. */
    readonly path: string,
    readonly problem: string,
    readonly code?: LaneCacheErrorCode,
    readonly cause?: unknown,
  ) {}
}

export const pathTo = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`);

/** The option as the texts of errors name it. */
export const subjectOf = (path: string): string => (path === '' ? 'the options' : `'${path}'`);

export function wrongValue(path: string, { wants, code }: Kind<unknown>, value: unknown): Refusal {
  return new Refusal(path, `${subjectOf(path)} must be ${wants}, not ${shown(value)}.`, code);
}

/** Short, and never by code of the value's own. */
function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 64)}'`;
  if (typeof value === 'symbol' || typeof value === 'function') return `a ${typeof value}`;
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'that list' : 'that object';
  return String(value).slice(0, 64);
}
