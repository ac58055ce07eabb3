import type { LaneCacheErrorCode } from '../errors/lane-cache.error.js';
import { type Kind, pathTo, wrongValue } from './kind.js';

/** Plain objects, instances of classes and modules; no lists, maps, dates, signals or functions. */
export function isBag(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const tag = Object.prototype.toString.call(value);
  return tag === '[object Object]' || tag === '[object Module]';
}

/** A kind that keeps the value as it is. */
export function kindOf<T>(wants: string, is: (value: unknown) => value is T): Kind<T> {
  return { wants, take: (value) => (is(value) ? value : undefined) };
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isNonEmpty = (value: unknown): value is string => isText(value) && value !== '';
const numberKind = (wants: string, fits: (value: number) => boolean): Kind<number> =>
  kindOf(wants, (value): value is number => typeof value === 'number' && fits(value));

export const text = kindOf('a text', isText);
export const nonEmpty = kindOf("a text that isn't empty", isNonEmpty);
export const filePath = kindOf('a path', (value): value is string => isNonEmpty(value) && !value.includes('\0'));
export const flag = kindOf('true or false', (value): value is boolean => typeof value === 'boolean');
export const finite = numberKind('a number', Number.isFinite);
export const fromZero = numberKind('a number of 0 or more', (value) => value >= 0);
export const whole = numberKind('a whole number of 0 or more', (value) => Number.isSafeInteger(value) && value >= 0);
export const count = numberKind('a whole number of 1 or more', (value) => Number.isSafeInteger(value) && value >= 1);
export const share = numberKind('a number between 0 and 1, both excluded', (value) => value > 0 && value < 1);
export const proportion = numberKind('a number from 0 to 1', (value) => value >= 0 && value <= 1);
export const record = kindOf('an object', (value): value is Readonly<Record<string, never>> => isBag(value));
export const object = kindOf('an object', (value): value is object => typeof value === 'object' && value !== null);
export const signal = objectWith<AbortSignal>('an AbortSignal', 'addEventListener', 'removeEventListener');

/** Whatever is given. What it is for checks it. */
export const anything: Kind<never> = { wants: 'anything', take: (value) => value as never };

/** A function of whatever type the option has. */
export const fn: Kind<never> = kindOf('a function', (value): value is never => typeof value === 'function');

export function oneOf<const W extends string | boolean>(...words: readonly W[]): Kind<W> {
  const shownWords = words.map((word) => (typeof word === 'string' ? `'${word}'` : String(word)));
  const last = shownWords.pop() ?? '';
  const wants = shownWords.length === 0 ? last : `${shownWords.join(', ')} or ${last}`;
  return kindOf(wants, (value): value is W => words.some((word) => word === value));
}

/** The first of the two that takes it. */
export function either<A, B>(one: Kind<A>, other: Kind<B>): Kind<A | B> {
  return {
    ...other,
    ...one,
    wants: `${one.wants}, or ${other.wants}`,
    take: (value, at) => one.take(value, at) ?? other.take(value, at),
  };
}

/** A copy of a list, each part of which is of `kind`. */
export function listOf<T>(kind: Kind<T>, parts: string): Kind<readonly T[]> {
  const take = (value: unknown, at: string): readonly T[] | undefined => {
    if (!Array.isArray(value)) return undefined;
    const taken: T[] = [];
    for (let index = 0; index < value.length; index++) {
      const part = kind.take(value[index], `${at}[${index}]`);
      if (part === undefined) return undefined;
      taken.push(part);
    }
    return taken;
  };
  return { wants: `a list of ${parts}`, take };
}

export const texts = listOf(text, 'texts');
export const names = listOf(nonEmpty, "texts that aren't empty");

/** A copy of a record, each value of which is of `kind`. */
export function recordOf<T>(kind: Kind<T>): Kind<Readonly<Record<string, T>>> {
  const take = (value: unknown, at: string): Readonly<Record<string, T>> | undefined => {
    if (!isBag(value)) return undefined;
    const taken = new Map<string, T>();
    for (const [name, each] of Object.entries<unknown>({ ...value })) {
      if (each === undefined) continue;
      const path = pathTo(at, name);
      const kept = kind.take(each, path);
      if (kept === undefined) throw wrongValue(path, kind, each);
      taken.set(name, kept);
    }
    return Object.fromEntries(taken);
  };
  return { wants: `an object, by name, of ${kind.wants}`, take };
}

/** An object that has the methods named; itself, and no copy. */
export function objectWith<T extends object>(wants: string, ...methods: readonly (keyof T & string)[]): Kind<T> {
  return kindOf(wants, (value): value is T => {
    const holder = typeof value === 'object' && value !== null ? value : undefined;
    return holder !== undefined && methods.every((method) => typeof Reflect.get(holder, method) === 'function');
  });
}

/** The same, in other words. */
export const inWords = <T>(wants: string, kind: Kind<T>): Kind<T> => ({ ...kind, wants });

/** The same, with an error of another code. */
export const coded = <T>(code: LaneCacheErrorCode, kind: Kind<T>): Kind<T> => ({ ...kind, code });

/** The same, but it must be there. */
export const required = <T>(kind: Kind<T>): Kind<T> => ({ ...kind, isRequired: true });
