import { LaneCacheError, type LaneCacheErrorCode } from '../errors/lane-cache.error.js';
import { type Kind, pathTo, Refusal, subjectOf, wrongValue } from './kind.js';
import { isBag } from './kinds.js';

/** One kind for each option of `T`: an option without one does not compile. */
export type Kinds<T> = { readonly [N in keyof T]-?: Kind<Exclude<T[N], undefined>> };

export interface ShapeRules {
  /** Of all errors but those about values whose kind has a code. Default OPTIONS_INVALID. */
  readonly code?: LaneCacheErrorCode;
  /** What to do instead, by the name of an option that belongs elsewhere. A sentence. */
  readonly elsewhere?: Readonly<Record<string, string>>;
}

/** What an error about options says besides. */
export interface OptionsSource {
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
  const names = new Set(own);
  for (const name in given) names.add(name);
  for (const name of known) if (name in given) names.add(name);
  return [...names];
}

function valueOf(given: Readonly<Record<string, unknown>>, name: string, at: string): unknown {
  try {
    return given[name];
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
    days: ['maxAgeDays', 'retentionDays'],
    olderthan: ['maxAgeDays', 'until'],
    retention: ['retentionDays', 'maxAgeDays'],
    keep: ['keepLast'],
    keeplatest: ['keepLast'],
    keepnewest: ['keepLast'],
    keepversions: ['keepLast'],
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
