import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { CacheManager, CheckpointService, isLaneCacheError, LaneCacheMetrics } from '../../lib/index.js';
import { FakeClock } from '../../lib/testing/index.js';
import { auditNumbers } from '../support/audit-manager.js';
import {
  type Behaviour,
  BEHAVIOURS,
  COLLABORATORS,
  type Hostile,
  hostileApp,
  MINE,
  Mischief,
  PUBLIC_CALLS,
  type Stage,
} from '../support/hostile-collaborators.js';

const CALLS_BACK: readonly Behaviour[] = ['gets', 'computes', 'sets', 'invalidates', 'clears', 'closes'];
/** A call is rejected, and its method does not run, if one of these fails: a promise would be lost otherwise. */
const REJECTING: Readonly<Partial<Record<Hostile, string>>> = {
  'key to invalidate': '@CacheInvalidate',
  'tags to invalidate': '@CacheInvalidate',
  'pattern to invalidate': '@CacheInvalidate',
  'condition to invalidate': '@CacheInvalidate',
  'id of a checkpoint': '@Checkpointed',
  'workflow of a checkpoint': '@Checkpointed',
};
/** Turns of the loop after which a call waits for the clock. */
const TURNS = 30;

type Outcome = { readonly value: unknown } | { readonly error: unknown } | 'hangs' | 'throws at once';

/** What a call comes to. A second of the app's clock passes if it does not answer by itself. */
async function outcomeOf(run: () => Promise<unknown>, clock: FakeClock): Promise<Outcome> {
  let answer: Promise<unknown>;
  try {
    answer = run();
  } catch {
    return 'throws at once';
  }
  let outcome: Outcome = 'hangs';
  void answer.then(
    (value) => (outcome = { value }),
    (error: unknown) => (outcome = { error }),
  );
  const isPending = (): boolean => outcome === 'hangs';
  for (let turn = 0; turn < 2 * TURNS && isPending(); turn++) {
    if (turn === TURNS) await clock.advance('1s');
    await setImmediate();
  }
  return outcome;
}

const unhandled: unknown[] = [];
const note = (error: unknown): void => void unhandled.push(error);
const table = new Map<Hostile, Map<Behaviour, number>>();

/** Whether a rejection is right. */
function mayReject(hostile: Hostile, behaviour: Behaviour, call: string, error: unknown): boolean {
  if (!isLaneCacheError(error)) return REJECTING[hostile] === call && error === MINE;
  if (behaviour === 'closes' && ['CLOSED', 'CHECKPOINTS_UNAVAILABLE'].includes(error.code)) return true;
  if (hostile === 'getter in values') return error.code === 'CHECKPOINT_UNSTORABLE';
  if (CALLS_BACK.includes(behaviour)) return false;
  return hostile === 'getter in options' || REJECTING[hostile] === call;
}

class Case {
  readonly wrong: string[] = [];
  cases = 0;
  private readonly mischief: Mischief;

  constructor(
    private readonly hostile: Hostile,
    private readonly behaviour: Behaviour,
  ) {
    this.mischief = new Mischief(behaviour);
  }

  /** Makes every call twice in an app of its own. */
  async run(): Promise<void> {
    const { module: imported, host, schema, listen } = hostileApp(this.hostile, this.mischief);
    const module = await Test.createTestingModule({ imports: [imported], providers: [host] }).compile();
    await module.init();
    const cache = module.get(CacheManager);
    const checkpoints = module.get(CheckpointService);
    const clock = module.get(FakeClock);
    await cache.set('kept', 'kept', { tags: ['t'] });
    await checkpoints.cacheCheckpoint('kept', 'kept');
    listen(cache);
    this.mischief.against(cache);
    const stage = this.stage({ cache, checkpoints, host: module.get(host) }, schema);
    for (const call of [...Object.keys(PUBLIC_CALLS), ...Object.keys(PUBLIC_CALLS)])
      await this.call(call, stage, clock);
    await clock.advance('2s');
    for (let turn = 0; turn < 5; turn++) await setImmediate();
    this.mischief.isOn = false;
    for (const lane of ['docs', 'standard', 'heavy']) auditNumbers(cache.forLane(lane).getMetrics());
    this.countsFaults(module.get(LaneCacheMetrics).report().faults);
    await module.close();
  }

  private stage(app: Pick<Stage, 'cache' | 'checkpoints' | 'host'>, schema: object | undefined): Stage {
    const { hostile, mischief } = this;
    const getter = (object: object, name: string, well: unknown): object =>
      Object.defineProperty(object, name, { enumerable: true, get: mischief.around(() => well) });
    const options = (name: string, well: unknown): object =>
      hostile === 'getter in options' ? getter({}, name, well) : {};
    const value = hostile === 'getter in values' ? getter({}, 'a', 1) : 'value';
    return {
      ...app,
      reading: (name, well) => (schema === undefined ? options(name, well) : { schema }),
      options,
      value: () => value,
    };
  }

  private async call(name: string, stage: Stage, clock: FakeClock): Promise<void> {
    const call = PUBLIC_CALLS[name];
    if (call === undefined) return;
    this.cases++;
    const ranBefore = stage.host.ran;
    this.mischief.renew();
    const outcome = await outcomeOf(() => call.run(stage), clock);
    const say = (what: string): number => this.wrong.push(`${name}: ${what}`);
    if (typeof outcome === 'string') say(outcome);
    else if ('error' in outcome) {
      if (!mayReject(this.hostile, this.behaviour, name, outcome.error)) say(`rejects with ${String(outcome.error)}`);
      if (stage.host.ran > ranBefore && this.behaviour !== 'closes') say('rejects although the method has run');
    } else if (!call.fits(outcome.value, stage.value())) say(`gives ${String(outcome.value)}`);
  }

  /** What failed was counted, as far as it has counters. */
  private countsFaults(faults: Readonly<Record<string, number>>): void {
    const counter = COUNTERS[this.hostile];
    const isCounted = counter === undefined || CALLS_BACK.includes(this.behaviour) || (faults[counter] ?? 0) > 0;
    const isHarmless = this.hostile === 'listener' && ['never answers', 'answers nonsense'].includes(this.behaviour);
    const isLogger = counter === 'logger' && this.behaviour !== 'throws' && this.behaviour !== 'rejects';
    if (!isCounted && !isHarmless && !isLogger) this.wrong.push(`no fault of the ${counter} is counted`);
  }
}

const COUNTERS: Readonly<Partial<Record<Hostile, string>>> = {
  logger: 'logger',
  strategy: 'strategy',
  'subclass of LaneAwareCacheStrategy': 'strategy',
  schema: 'schema',
  listener: 'listener',
  key: 'decorator',
  tags: 'decorator',
  resultTags: 'decorator',
  ttl: 'decorator',
  'key to put': 'decorator',
};

beforeAll(() => {
  process.on('unhandledRejection', note);
  process.on('uncaughtException', note);
});
afterAll(() => {
  process.off('unhandledRejection', note);
  process.off('uncaughtException', note);
  process.stdout.write(`\n${shownTable()}\n`);
});

function shownTable(): string {
  const calls = Object.keys(PUBLIC_CALLS).length;
  const all = [...table.values()].flatMap((row) => [...row.values()]).reduce((sum, count) => sum + count, 0);
  const width = Math.max(...COLLABORATORS.map((name) => name.length));
  const head = `${'calls that ended as promised'.padEnd(width)} | ${BEHAVIOURS.join(' | ')}`;
  const rows = COLLABORATORS.map((name) => {
    const counts = BEHAVIOURS.map((behaviour) =>
      String(table.get(name)?.get(behaviour) ?? 0).padStart(behaviour.length),
    );
    return `${name.padEnd(width)} | ${counts.join(' | ')}`;
  });
  const sum = `${COLLABORATORS.length} collaborators x ${BEHAVIOURS.length} behaviours x ${calls} calls, each twice: ${all}`;
  return [head, ...rows, sum].join('\n');
}

describe('a schema that validates asynchronously', () => {
  const fits = (value: unknown): boolean => value === 'fits';
  const schema = {
    '~standard': {
      version: 1,
      vendor: 'own',
      validate: async (value: unknown) => (fits(value) ? { value } : { issues: [{ message: 'no' }] }),
    },
  } as const;

  it('accepts what fits, and refuses the rest', async () => {
    const cache = await CacheManager.fromSettings({ directory: false });
    await cache.setMany([
      ['good', 'fits'],
      ['bad', 'does not'],
    ]);
    expect(await cache.get('good', { schema })).toBe('fits');
    expect(await cache.get('bad', { schema })).toBeUndefined();
    expect(await cache.getOrSet('good', () => 'computed', { schema })).toBe('fits');
    expect([...(await cache.getMany(['good', 'bad'], { schema })).keys()]).toEqual(['good']);
    const compute = (keys: readonly string[]) => new Map(keys.map((key) => [key, 'computed']));
    expect([...(await cache.getOrSetMany(['good', 'bad'], compute, { schema })).values()]).toEqual([
      'fits',
      'computed',
    ]);
    await cache.close();
  });

  it('accepts what fits below memory too', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'lane-cache-'));
    const cache = await CacheManager.fromSettings({ directory, lanes: { standard: { l1: { maxEntries: 1 } } } });
    await cache.setMany([
      ['good', 'fits'],
      ['bad', 'does not'],
      ['other', 1],
    ]);
    await cache.flush();
    expect(await cache.get('good', { schema })).toBe('fits');
    expect(await cache.get('bad', { schema })).toBeUndefined();
    expect(cache.getMetrics().l2).toMatchObject({ hits: 1, misses: 1 });
    await cache.close();
    await rm(directory, { recursive: true, maxRetries: 5 });
  });
});

describe.each(COLLABORATORS)('a hostile %s', (hostile) => {
  it.each(BEHAVIOURS)('that %s is no trouble of any caller', async (behaviour) => {
    const before = unhandled.length;
    const tried = new Case(hostile, behaviour);
    await tried.run();
    expect(tried.wrong).toEqual([]);
    expect(unhandled.slice(before)).toEqual([]);
    const row = table.get(hostile) ?? new Map<Behaviour, number>();
    table.set(hostile, row.set(behaviour, tried.cases));
  });
});
