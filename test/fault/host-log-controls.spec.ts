import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { edited, Workshop } from '../support/child-process.js';
import { FaultChild } from '../support/fault-child.js';
import { until } from '../support/gate.js';
import { StorageBench } from '../support/storage.js';

const HOST_LOG = 'lib/invalidation/host-log.ts';
const NEVER_LAPSES = edited('const LOOK_COUNTS_MS = 1;', 'const LOOK_COUNTS_MS = 1e9;');
const ONE_LOOK_PER_TURN = edited('afterThisStep(this.lapse);', 'setImmediate(this.lapse);');
const NO_LOOK = edited("if (this.current.state !== 'on') return;\n    // Before", 'return;\n    // Before');

/** A program in one process, and what the others do in the meantime. */
interface Moment {
  /** It returns what its last call got. `exists` reads the disk, and `mark` writes a file. */
  readonly program: string;
  readonly stopped?: boolean;
}

const CALL = "cache.getOrSet('k', () => (exists('source') ? 'new' : 'old'))";
const HIT = `await ${CALL};`;
const LAST = `return ${CALL};`;
const UNTIL_CHANGED = "mark('reached'); while (!exists('changed'));";

const MOMENTS = {
  'stopped between two hits of one macrotask': {
    // the first call may wait for the owner of L3; the second one looks in the macrotask of the last
    program: `${HIT} await new Promise(setImmediate); ${HIT} ${UNTIL_CHANGED} ${LAST}`,
    stopped: true,
  },
  'awaiting hits for long without another macrotask': {
    program: `${HIT} await new Promise(setImmediate); ${HIT} mark('reached'); while (!exists('changed')) ${HIT}
      const changedAt = performance.now();
      while (performance.now() - changedAt < 2) ${HIT}
      ${LAST}`,
  },
  'called by two timers of one turn of the loop': {
    program: `${HIT} let last;
      const both = new Promise((resolve) => {
        setTimeout(() => { void ${CALL}; ${UNTIL_CHANGED} }, 5);
        setTimeout(() => { resolve(${CALL}); }, 5);
      });
      return both;`,
  },
} as const satisfies Record<string, Moment>;

describe('a process of a directory in which another one invalidates', () => {
  const bench = new StorageBench();
  const workshops: Workshop[] = [];
  let workshop: Workshop;
  beforeAll(async () => workshops.push((workshop = await Workshop.build())));
  afterAll(async () => {
    for (const each of workshops) await each.dispose();
  });
  afterEach(() => bench.dispose());

  const variant = async (...edits: readonly ((source: string) => string)[]): Promise<Workshop> => {
    const edit = (source: string): string => edits.reduce((text, one) => one(text), source);
    const made = await workshop.variant(new Map([[HOST_LOG, edit]]));
    workshops.push(made);
    return made;
  };

  /** What the last call of the program gets, after the other process's invalidation has resolved. */
  const lastOf = async (of: Workshop, { program, stopped }: Moment): Promise<unknown> => {
    const directory = await bench.path('cache');
    const scratch = await bench.path('scratch');
    const [one, other] = await Promise.all([
      FaultChild.start(of, { directory }),
      FaultChild.start(workshop, { directory }),
    ]);
    const files = `const { existsSync, mkdirSync, writeFileSync } = process.getBuiltinModule('node:fs');
      const exists = (name) => existsSync('${scratch}/' + name);
      const mark = (name) => { mkdirSync('${scratch}', { recursive: true }); writeFileSync('${scratch}/' + name, ''); };`;
    const ran = one.ask('run', `${files} ${program}`);
    const reached = until(() => existsSync(join(scratch, 'reached')));
    // what ends before that has failed
    await Promise.race([reached, ran]);
    if (stopped === true) one.child.signal('SIGSTOP');
    await writeFile(join(scratch, 'source'), '');
    await other.ask('invalidate', 'k');
    await writeFile(join(scratch, 'changed'), '');
    if (stopped === true) one.child.signal('SIGCONT');
    return ran;
  };

  it.each(Object.entries(MOMENTS))('gets no old value when it was %s', async (_, moment) => {
    expect(await lastOf(workshop, moment)).toBe('new');
  });

  it.each([
    ['it does not look', [NO_LOOK], MOMENTS['awaiting hits for long without another macrotask']],
    ['a look counts for the whole macrotask', [NEVER_LAPSES], MOMENTS['stopped between two hits of one macrotask']],
    ['it looks once per macrotask only', [NEVER_LAPSES], MOMENTS['awaiting hits for long without another macrotask']],
    [
      'it looks once per turn of the loop',
      [NEVER_LAPSES, ONE_LOOK_PER_TURN],
      MOMENTS['called by two timers of one turn of the loop'],
    ],
  ] as const)('would get an old value if %s', async (_, edits, moment) => {
    expect(await lastOf(await variant(...edits), moment)).toBe('old');
  });

  it('sees a new macrotask also where a look does not lapse', async () => {
    const moment = MOMENTS['called by two timers of one turn of the loop'];
    expect(await lastOf(await variant(NEVER_LAPSES), moment)).toBe('new');
  });

  it('keeps L3 when its owner is killed, but for what was invalidated', async () => {
    const directory = await bench.path('cache');
    const owner = await FaultChild.start(workshop, { directory });
    const other = await FaultChild.start(workshop, { directory });
    await owner.ask('fill', { keys: 100, bytes: 100 });
    await other.ask('invalidate', 'key:3');
    await other.ask('run', "await cache.invalidateByTag('key:4'); await cache.invalidateByPattern('key:9?')");
    await owner.end('SIGKILL');
    expect(await other.ask('until', 'l3', 'on')).toBe('on');
    const found = await other.ask(
      'run',
      `const found = [];
       for (let n = 0; n < 100; n++) if ((await cache.get('key:' + n)) !== undefined) found.push(n);
       return found;`,
    );
    const expected = Array.from({ length: 90 }, (__, n) => n).filter((n) => n !== 3 && n !== 4);
    expect(found).toEqual(expected);
    expect(await other.ask('events')).not.toContainEqual(expect.stringMatching(/quarantine/));
  });

  it('steps over what a killed writer has left incomplete', async () => {
    const directory = await bench.path('cache');
    const [one, other] = [
      await FaultChild.start(workshop, { directory }),
      await FaultChild.start(workshop, { directory }),
    ];
    await one.ask('run', "await cache.getOrSet('k', () => 'old')");
    await appendFile(join(directory, 'log', '1.log'), Buffer.from('LR\u0040\0\0\0half a record', 'latin1'));
    await other.ask('invalidate', 'k');
    expect(await one.ask('run', "return cache.getOrSet('k', () => 'new')")).toBe('new');
  });
});
