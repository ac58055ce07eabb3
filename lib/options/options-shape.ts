import { ignoreRejection } from '../clock/promises.js';
import { LaneCacheError, type LaneCacheErrorCode } from '../errors/lane-cache.error.js';

/** Plain objects, instances of classes and modules; no lists, maps, dates, signals or functions. */
export function isBag(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const tag = Object.prototype.toString.call(value);
  return tag === '[object Object]' || tag === '[object Module]';
}

type Defined<T> = { readonly [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  readonly [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** The same fields, less those that are undefined: an optional field has a value, or is absent. */
export function defined<const T extends object>(fields: T): Defined<T> {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an undefined field is optional in the result
  return Object.fromEntries(entries) as Defined<T>;
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
/** The scheme of a URL has more letters than a drive of Windows. */
const isUrl = (value: string): boolean => /^[a-z][a-z\d+.-]+:\/\//i.test(value);
export const filePath = kindOf('a path (not a URL)', (value): value is string => {
  return isNonEmpty(value) && !value.includes('\0') && !isUrl(value);
});
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

const pathTo = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`);

/** The option as the texts of errors name it. */
const subjectOf = (path: string): string => (path === '' ? 'the options' : `'${path}'`);

function wrongValue(path: string, { wants, code }: Kind<unknown>, value: unknown): Refusal {
  return new Refusal(path, `${subjectOf(path)} must be ${wants}, not ${shown(value)}.`, code);
}

/** A value as texts of errors show it: short, and never by code of the value's own. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 64)}'`;
  if (typeof value === 'symbol' || typeof value === 'function') return `a ${typeof value}`;
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'that list' : 'that object';
  return String(value).slice(0, 64);
}

/** One kind for each option of `T`: an option without one does not compile. */
export type Kinds<T> = { readonly [N in keyof T]-?: Kind<Exclude<T[N], undefined>> };

interface ShapeRules {
  /** Of all errors but those about values whose kind has a code. Default OPTIONS_INVALID. */
  readonly code?: LaneCacheErrorCode;
  /** What to do instead, by the name of an option that belongs elsewhere. A sentence. */
  readonly elsewhere?: Readonly<Record<string, string>>;
}

/** What an error about options says besides. */
interface OptionsSource {
  /** What begins the text, instead of the shape's own. */
  readonly whose?: string;
  readonly lane?: string | undefined;
  /** What leads the names of the options, such as `lanes.docs`. */
  readonly path?: string;
}

/**
 * Declares the options of a call or a setting. `whose` begins the texts of errors: `cacheCheckpoint`, `A call`.
 * The shape is itself a kind, so that one bag may lie in another.
 */
export function defineOptions<T extends object>(
  whose: string,
  kinds: Kinds<NoInfer<T>>,
  rules: ShapeRules = {},
): OptionsShape<T> {
  return new OptionsShape<T>(whose, new Map(Object.entries<Kind<unknown>>(kinds)), rules);
}

/** The names and kinds of a bag of options. */
export class OptionsShape<T extends object> implements Kind<T> {
  readonly wants: string;
  readonly names: readonly string[];
  private readonly required: readonly string[];

  constructor(
    private readonly whose: string,
    private readonly kinds: ReadonlyMap<string, Kind<unknown>>,
    private readonly rules: ShapeRules,
  ) {
    this.names = [...kinds.keys()];
    this.required = this.names.filter((name) => kinds.get(name)?.isRequired === true);
    this.wants =
      this.names.length === 1 ? `an object with ${this.names[0]}` : `an object with any of ${this.names.join(', ')}`;
  }

  /**
   * A copy of the options, each read once; none are given by `undefined`.
   * Throws OPTIONS_INVALID, or the code of the shape or kind, for anything that is no option or of another type.
   */
  read(given: unknown, source: OptionsSource = {}): T {
    const path = source.path ?? '';
    try {
      const taken = this.take(given === undefined ? {} : given, path);
      if (taken !== undefined) return taken;
      throw wrongValue(path, this, given);
    } catch (error) {
      throw this.errorOf(error instanceof Refusal ? error : unreadable(path, error), source);
    }
  }

  readonly take = (given: unknown, path: string): T | undefined => {
    if (!isBag(given)) return undefined;
    const taken: Record<string, unknown> = {};
    for (const name of namesIn(given, this.names)) {
      const kind = typeof name === 'string' ? this.kinds.get(name) : undefined;
      if (typeof name !== 'string' || kind === undefined) throw this.unknown(name, path);
      const at = pathTo(path, name);
      const value = valueOf(given, name, at);
      if (value === undefined) continue;
      taken[name] = kind.take(value, at);
      if (taken[name] === undefined) throw wrongValue(at, kind, value);
    }
    for (const name of this.required) if (taken[name] === undefined) throw this.missing(pathTo(path, name), name);
    return taken as T;
  };

  private unknown(name: string | symbol, path: string): Refusal {
    if (typeof name === 'symbol') return new Refusal(path, `${subjectOf(path)} must have no symbols for names.`);
    const { elsewhere = {} } = this.rules;
    const shownName = name.slice(0, 64);
    const at = pathTo(path, shownName);
    const meant =
      SYNONYMS.get(plainName(shownName))?.find((other) => this.kinds.has(other)) ?? nearestName(shownName, this.names);
    const hint = meant === undefined ? `Known options: ${this.names.join(', ')}.` : `Did you mean '${meant}'?`;
    const advice = Object.hasOwn(elsewhere, name) ? elsewhere[name] : hint;
    return new Refusal(at, `there is no option '${at}'. ${advice}`);
  }

  private missing(path: string, name: string): Refusal {
    const wants = this.kinds.get(name)?.wants;
    return new Refusal(path, `${subjectOf(path)} is missing. It must be ${wants}.`);
  }

  private errorOf({ path, problem, code, cause }: Refusal, { whose, lane }: OptionsSource): LaneCacheError {
    const inLane = lane === undefined || whose !== undefined ? '' : ` (lane '${lane}')`;
    return new LaneCacheError(
      code ?? this.rules.code ?? 'OPTIONS_INVALID',
      `${whose ?? this.whose}: ${problem}${inLane}`,
      { lane, field: path === '' ? undefined : path, cause },
    );
  }
}

const unreadable = (path: string, cause: unknown): Refusal =>
  new Refusal(path, `${subjectOf(path)} cannot be read: an error came instead.`, undefined, cause);

/**
 * The names that a loop shows, inherited ones too, and symbols of its own; those of `known` that it inherits and hides,
 * as accessors of classes are.
 */
function namesIn(given: object, known: readonly string[]): readonly (string | symbol)[] {
  const parent: unknown = Object.getPrototypeOf(given);
  const symbols = Object.getOwnPropertySymbols(given);
  const own = symbols.length === 0 ? Object.keys(given) : [...symbols, ...Object.keys(given)];
  if (parent === Object.prototype || parent === null) return own;
  const every = new Set(own);
  for (const name in given) every.add(name);
  for (const name of known) if (name in given) every.add(name);
  return [...every];
}

function valueOf(given: Readonly<Record<string, unknown>>, name: string, at: string): unknown {
  try {
    const value = given[name];
    // No option is a promise. One that is refused must not end the process.
    if (typeof value === 'object') ignoreRejection(value);
    return value;
  } catch (cause) {
    throw unreadable(at, cause);
  }
}

const plainName = (name: string): string => name.replaceAll(/[_-]/g, '').toLowerCase();

/** The one of `known` that `word` was probably meant to be, if any comes close. */
function nearestName(word: string, known: readonly string[]): string | undefined {
  const [nearest] = known
    .map((name) => ({ name, distance: editDistance(word.toLowerCase(), name.toLowerCase()) }))
    .toSorted((a, b) => a.distance - b.distance);
  return nearest !== undefined && nearest.distance <= Math.max(2, nearest.name.length / 3) ? nearest.name : undefined;
}

/** How many characters have to be put in, taken out or exchanged. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let index = 0; index < from.length; index++) {
    const next = [index + 1];
    for (let column = 1; column <= to.length; column++) {
      const kept = (row[column - 1] ?? 0) + (from[index] === to[column - 1] ? 0 : 1);
      next.push(Math.min(kept, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

/** What people call options by, in lower case, and the names they may mean. */
const SYNONYMS: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    ttl: ['ttl', 'maxAge', 'maxAgeDays'],
    ttlms: ['ttl'],
    ttlseconds: ['ttl'],
    expires: ['ttl'],
    expiresin: ['ttl'],
    expiry: ['ttl'],
    maxage: ['maxAge', 'maxAgeDays', 'ttl'],
    age: ['maxAge', 'maxAgeDays'],
    days: ['maxAgeDays', 'retention'],
    olderthan: ['maxAgeDays', 'until'],
    retention: ['retention', 'maxAgeDays'],
    keep: ['keepLast'],
    keeplatest: ['keepLast'],
    keepnewest: ['keepLast'],
    keepversions: ['keepVersions', 'keepLast'],
    retentiondays: ['retention', 'maxAgeDays'],
    expectversion: ['expectedVersion'],
    ifversion: ['expectedVersion'],
    baseversion: ['expectedVersion'],
    version: ['expectedVersion'],
    dry: ['dryRun'],
    simulate: ['dryRun'],
    preview: ['dryRun'],
    workflowid: ['workflow'],
    label: ['tags', 'lane'],
    labels: ['tags'],
    timeout: ['hardTimeout', 'commandTimeout', 'deadline'],
    refresh: ['forceFresh', 'refreshAhead'],
    force: ['forceFresh'],
    fresh: ['forceFresh'],
    swr: ['grace'],
    stalewhilerevalidate: ['grace'],
    staleiferror: ['grace'],
    dir: ['directory'],
    folder: ['directory'],
    host: ['url'],
    redis: ['distributed'],
    max: ['maxEntries'],
    maxsize: ['maxBytes'],
    size: ['maxBytes', 'valueBytes'],
    pagesize: ['limit'],
    count: ['limit', 'iterations'],
    cursor: ['after'],
    next: ['after'],
    from: ['since'],
    to: ['until'],
    global: ['isGlobal'],
  }),
);
