import { LaneCacheError } from '../errors/lane-cache.error.js';
import { nearestName } from '../errors/nearest-name.js';
import { DURATION_FORM, readDuration, readSize, SIZE_FORM } from './units.js';

type Fields = Readonly<Record<string, unknown>>;

/** One level of a lane as its author wrote it: hands out checked fields, each with a fallback where it is absent. */
export class LaneFields {
  private readonly fields: Fields;

  /**
   * `path` leads the names in errors, such as `lanes.docs`. Throws LANE_INVALID unless `written` is an object of
   * `known` fields.
   */
  constructor(
    private readonly lane: string | undefined,
    private readonly path: string,
    written: unknown,
    known: readonly string[],
  ) {
    if (!isFields(written)) {
      throw this.invalid(undefined, `must be an object with any of ${known.join(', ')}`, written);
    }
    this.fields = written;
    const unknown = Object.keys(written).find((name) => !known.includes(name));
    if (unknown !== undefined) {
      const meant = nearestName(unknown, known);
      const hint = meant === undefined ? '.' : `; did you mean '${meant}'?`;
      throw this.invalid(unknown, `is no field${hint} There are ${known.join(', ')}`);
    }
  }

  /** The fields below `name`; none when it is absent. */
  below(name: string, known: readonly string[]): LaneFields {
    const written = this.fields[name];
    return new LaneFields(this.lane, this.pathOf(name), written === undefined ? {} : written, known);
  }

  duration<F>(name: string, fallback: F): number | F {
    return this.read(name, fallback, readDuration, `must be ${DURATION_FORM}`);
  }

  /** A duration above 0. */
  span<F>(name: string, fallback: F): number | F {
    return this.read(name, fallback, (value) => readDuration(value) || undefined, `must be ${DURATION_FORM}, above 0`);
  }

  /** A size above 0. */
  size(name: string, fallback: number): number {
    return this.read(name, fallback, (value) => readSize(value) || undefined, `must be ${SIZE_FORM}, above 0`);
  }

  count(name: string, fallback: number): number {
    return this.read(name, fallback, readCount, 'must be a whole number of 1 or more');
  }

  flag(name: string, fallback: boolean): boolean {
    return this.read(
      name,
      fallback,
      (value) => (typeof value === 'boolean' ? value : undefined),
      'must be true or false',
    );
  }

  /** A number between 0 and 1, both excluded. */
  share<F>(name: string, fallback: F): number | F {
    return this.read(name, fallback, readShare, 'must be a number between 0 and 1, both excluded');
  }

  text(name: string, fallback: string): string {
    return this.read(name, fallback, (value) => (typeof value === 'string' ? value : undefined), 'must be a string');
  }

  /** Strings, each of 1 to `longest` characters. */
  texts(name: string, fallback: readonly string[], longest: number): readonly string[] {
    const fits = (text: unknown): text is string => typeof text === 'string' && text !== '' && text.length <= longest;
    const read = (value: unknown): readonly string[] | undefined =>
      Array.isArray(value) && value.every(fits) ? [...value] : undefined;
    return this.read(name, fallback, read, `must be a list of strings of 1 to ${longest} characters`);
  }

  /** Two numbers, from and to, of 0 to `highest`. */
  range<F>(name: string, fallback: F, highest: number): readonly [number, number] | F {
    const upTo = highest === Infinity ? '0 or more' : `0 to ${highest}`;
    return this.read(
      name,
      fallback,
      (value) => readRange(value, highest),
      `must be [from, to], two numbers of ${upTo}`,
    );
  }

  oneOf<T extends string>(name: string, fallback: T, words: readonly T[]): T {
    const read = (value: unknown): T | undefined => words.find((word) => word === value);
    return this.read(name, fallback, read, `must be one of ${words.map((word) => `'${word}'`).join(', ')}`);
  }

  /** `read` gives the field's meaning, or undefined when it has none. */
  read<T, F>(name: string, fallback: F, read: (value: unknown) => T | undefined, rule: string): T | F {
    const written = this.fields[name];
    if (written === undefined) return fallback;
    const value = read(written);
    if (value === undefined) throw this.invalid(name, rule, written);
    return value;
  }

  /** The error that tells what `name` must be, and what was `written` instead, if that helps. */
  invalid(name: string | undefined, rule: string, written?: unknown): LaneCacheError {
    const field = this.pathOf(name);
    const whose = this.lane === undefined ? 'Invalid lane' : `Lane '${this.lane}' is invalid`;
    const found = written === undefined ? '' : `, not ${shown(written)}`;
    const subject = field === '' ? 'it' : `'${field}'`;
    return new LaneCacheError('LANE_INVALID', `${whose}: ${subject} ${rule}${found}.`, { lane: this.lane, field });
  }

  private pathOf(name: string | undefined): string {
    return [this.path, name].filter(Boolean).join('.');
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readCount(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 ? value : undefined;
}

function readShare(value: unknown): number | undefined {
  return typeof value === 'number' && value > 0 && value < 1 ? value : undefined;
}

function readRange(value: unknown, highest: number): readonly [number, number] | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const [from, to]: readonly unknown[] = value;
  if (typeof from !== 'number' || typeof to !== 'number') return undefined;
  return from >= 0 && from <= to && to <= highest && to < Infinity ? [from, to] : undefined;
}

function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 64)}'`;
  if (Array.isArray(value)) return 'that list';
  return typeof value === 'object' && value !== null
    ? 'that object'
    : typeof value === 'function'
      ? 'a function'
      : String(value);
}
