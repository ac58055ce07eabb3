import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { isLaneCacheError, type LaneCacheErrorCode } from '../../lib/index.js';
import { NOT_FILLED_BY_USERS, OPTION_CALLS, WatchedApp } from '../support/option-calls.js';
import { nested, publicBags, wayOf, type Bag, type OptionName } from '../support/options-bags.js';

/** Read once: it takes the type checker a while. */
const ALL_BAGS = publicBags();
const BAGS = ALL_BAGS.filter(({ call }) => NOT_FILLED_BY_USERS[call] === undefined);

const FOR_NAMES: readonly LaneCacheErrorCode[] = ['OPTIONS_INVALID', 'LANE_INVALID', 'DECORATOR_INVALID'];
const FOR_VALUES: readonly LaneCacheErrorCode[] = [
  ...FOR_NAMES,
  'TTL_INVALID',
  'TAG_INVALID',
  'KEY_INVALID',
  'PATTERN_INVALID',
  'LANE_UNKNOWN',
  'CHECKPOINT_INVALID',
];
const WAIT_MS = 2_000;

/** As people mistype a name. */
function misspelt(name: string, known: readonly string[]): readonly string[] {
  const middle = Math.floor(name.length / 2);
  const swapAt = [...name].findIndex(
    (letter, index) => index > 0 && letter !== name[index + 1] && index + 1 < name.length,
  );
  const swapped = name.slice(0, swapAt) + name.charAt(swapAt + 1) + name.charAt(swapAt) + name.slice(swapAt + 2);
  const recased = /[A-Z]/.test(name) ? name.toLowerCase() : name.charAt(0).toUpperCase() + name.slice(1);
  const others = [name.slice(0, middle) + name.slice(middle + 1), swapped, recased, `${name}s`];
  return [...new Set(others)].filter((other) => other !== name && !known.includes(other));
}

/** Values that the type of an option does not have, by a word for each. */
function wrongValues({ categories, parts, name }: OptionName): ReadonlyMap<string, unknown> {
  if (categories.has('anything')) return new Map();
  const has = (...some: readonly (typeof categories extends ReadonlySet<infer C> ? C : never)[]): boolean =>
    some.some((category) => categories.has(category));
  const wrong = new Map<string, unknown>([
    ['null', null],
    ['a symbol', Symbol('wrong')],
  ]);
  if (!has('text')) wrong.set('a text', 'wrong text');
  if (!has('number')) wrong.set('a number', 5);
  else wrong.set('NaN', Number.NaN);
  if (!has('flag')) wrong.set('a flag', true);
  if (!has('function')) wrong.set('a function', () => 1);
  if (!has('list')) wrong.set('a list', ['wrong']);
  else if (!parts.has('number') && !parts.has('anything')) wrong.set('a list of numbers', [5]);
  // a logger that lacks methods is trouble of its own, and not the caller's
  if (!has('record') && name !== 'logger') wrong.set('an object', { wrong: 1 });
  else if (has('record') && !parts.has('anything')) wrong.set('a record of symbols', { standard: Symbol('wrong') });
  wrong.set('a map', new Map([['wrong', 1]]));
  if (name === 'logger') wrong.delete('a map');
  return wrong;
}

/** Calls that boot a Nest app each time. Most of their options are those of `CacheManager.fromSettings`, which is quick. */
const SLOW = /^LaneCache(Testing)?Module\./;
const QUICK_OPTIONS = new Set(
  BAGS.filter(({ call }) => call === 'CacheManager.fromSettings').flatMap(({ steps, names }) =>
    names.map(({ name }) => `${wayOf(steps)} ${name}`),
  ),
);

/** The long run tries all ways everywhere. */
const isLong = process.env['LANE_CACHE_ROUNDS'] !== undefined;

const oneOf = <T>({ call }: Bag, name: string, ways: readonly T[]): readonly T[] => {
  const at = (call.length + name.length) % Math.max(1, ways.length);
  return ways.slice(at, at + 1);
};

/** One way to mistype each name: all are compared with the same known names. */
const triedNames = (bag: Bag, name: string, ways: readonly string[]): readonly string[] =>
  isLong ? ways : oneOf(bag, name, ways);

/** All values, or one where a quick call tries all for the same option. */
function triedValues<T>(bag: Bag, name: string, ways: readonly T[]): readonly T[] {
  const isTriedElsewhere = QUICK_OPTIONS.has(`${wayOf(bag.steps).replace('.useFactory()', '')} ${name}`);
  return isLong || !SLOW.test(bag.call) || !isTriedElsewhere ? ways : oneOf(bag, name, ways);
}

/** What a call came to: the code it was refused with, or that it was not. */
async function outcomeOf(bag: Bag, name: string, value: unknown): Promise<string> {
  const { call, around = {} } = OPTION_CALLS[bag.call] ?? { call: () => undefined };
  const given = { ...around[wayOf(bag.steps)]?.(name), [name]: value };
  const whole = nested(bag.steps, given, (way) => around[way]?.('') ?? {});
  let timer: NodeJS.Timeout | undefined;
  const hanging = new Promise((resolve) => {
    timer = setTimeout(resolve, WAIT_MS, 'hangs');
  });
  try {
    const answer = await Promise.race([Promise.resolve().then(() => call(app, whole as never)), hanging]);
    return answer === 'hangs' ? 'hangs' : 'accepted';
  } catch (error) {
    if (!isLaneCacheError(error)) return `another error: ${String(error)}`;
    const isNamed = error.message.includes(name) || error.code === 'TAG_INVALID';
    return isNamed ? error.code : `does not name it: ${error.message}`;
  } finally {
    clearTimeout(timer);
  }
}

let app: WatchedApp;
beforeAll(async () => {
  app = await WatchedApp.open();
});
afterAll(() => app.close());

describe('the bags of options in the public types', () => {
  it('are those that the calls below hand in', () => {
    const inTypes = [...new Set(ALL_BAGS.map(({ call }) => call))].toSorted();
    const covered = [...Object.keys(OPTION_CALLS), ...Object.keys(NOT_FILLED_BY_USERS)].toSorted();
    expect(covered).toEqual(inTypes);
  });

  it('are many', () => {
    const names = BAGS.reduce((sum, bag) => sum + bag.names.length, 0);
    process.stdout.write(`options: ${BAGS.length} bags, ${names} names\n`);
    expect(BAGS.length).toBeGreaterThan(60);
    expect(names).toBeGreaterThan(400);
  });
});

describe.each(BAGS.map((bag) => [bag.label, bag] as const))('%s', (_, bag) => {
  it('refuses every misspelt name before anything is done', async () => {
    const known = bag.names.map(({ name }) => name);
    const failed: string[] = [];
    for (const name of known) {
      for (const other of triedNames(bag, name, misspelt(name, known))) {
        const outcome = await outcomeOf(bag, other, undefinedOr(name));
        if (!FOR_NAMES.some((code) => code === outcome)) failed.push(`${other}: ${outcome}`);
      }
    }
    expect([...failed, ...app.happened.splice(0)]).toEqual([]);
  });

  it('refuses every value of a wrong type before anything is done', async () => {
    const failed: string[] = [];
    for (const option of bag.names) {
      for (const [word, value] of triedValues(bag, option.name, [...wrongValues(option)])) {
        const outcome = await outcomeOf(bag, option.name, value);
        if (!FOR_VALUES.some((code) => code === outcome)) failed.push(`${option.name} = ${word}: ${outcome}`);
      }
    }
    expect([...failed, ...app.happened.splice(0)]).toEqual([]);
  });
});

/** A misspelt name does nothing whatever its value is, so it is refused whatever its value is. */
const undefinedOr = (name: string): unknown => (name.length % 2 === 0 ? undefined : 1);
