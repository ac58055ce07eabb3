import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { copyFile, readdir, readFile, rename, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Workshop } from '../support/child-process.js';
import { StorageBench } from '../support/storage.js';

const ROUNDS = Number(process.env['LANE_CACHE_ROUNDS'] ?? 4);

/** Writes pairs of rows without pause and says which are acknowledged. */
const WRITER = `
import { systemClock } from './lib/clock/clock.js';
import { openEnvironment } from './lib/storage/lmdb/open-environment.js';
const [directory, durability, round] = process.argv.slice(2);
const quarantined = (_directory, _movedTo, cause) => console.log('quarantined ' + cause);
const environment = await openEnvironment({ directory, durability, clock: systemClock, minFreeBytes: 0,
  report: { fault() {}, quarantined }, onMarkerLeft: 'probe' });
const [left, right] = [environment.table('left'), environment.table('right')];
const write = async (worker) => {
  for (let n = 0; ; n++) {
    const key = [Number(round), worker, n];
    const value = Buffer.alloc(30 + (n * 7919) % 20_000, n);
    await environment.commit((transaction) => {
      transaction.put(left, key, value);
      transaction.put(right, key, value);
      if (n > 20 && n % 3 === 0) transaction.remove(left, [Number(round), worker, n - 20]);
      if (n > 20 && n % 3 === 0) transaction.remove(right, [Number(round), worker, n - 20]);
    });
    process.stdout.write(key.join(' ') + '\\n');
  }
};
await Promise.all([0, 1, 2, 3].map(write));
`;

describe('a writer that is killed', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  it.each(['durable', 'session'] as const)(
    `leaves whole transactions, and all that were acknowledged (%s, ${ROUNDS} rounds)`,
    async (durability) => {
      const path = await bench.path();
      for (let round = 0; round < ROUNDS; round++) {
        const child = await workshop.run(WRITER, [path, durability, String(round)]);
        const acknowledged: string[] = [];
        for (let n = 0; n < 100 + 37 * (round % 5); n++) acknowledged.push(await child.line());
        const { lines } = await child.end('SIGKILL');
        acknowledged.push(...lines);

        const { environment, report } = await bench.environment(path, { durability, onMarkerLeft: 'probe' });
        const rows = (name: string): string[] =>
          [...environment.table(name).keys({ start: [round], end: [round + 1] })].map((key) => [key].flat().join(' '));
        const [left, right] = [rows('left'), rows('right')];
        expect(right).toEqual(left);
        const there = new Set(left);
        const lost = acknowledged.filter((key) => {
          const [, worker, n] = key.split(' ').map(Number);
          const removed = there.has(`${round} ${worker} ${(n ?? 0) + 20}`) || ((n ?? 0) + 20) % 3 === 0;
          return !there.has(key) && !removed;
        });
        expect({ lost, report }).toEqual({ lost: [], report: { faults: [], quarantines: [] } });
        await environment.close();
      }
    },
    60_000 + ROUNDS * 20_000,
  );
});

/** Opens, writes a row, and says so; then it waits to be killed. */
const OWNER = `
import { systemClock } from './lib/clock/clock.js';
import { openEnvironment } from './lib/storage/lmdb/open-environment.js';
const [directory, onMarkerLeft] = process.argv.slice(2);
const environment = await openEnvironment({ directory, durability: 'durable', clock: systemClock, minFreeBytes: 0,
  report: { fault() {}, quarantined() {} }, onMarkerLeft });
await environment.commit((transaction) => transaction.put(environment.table('t'), 'row', Buffer.from('kept')));
console.log('written');
setInterval(() => {}, 1_000);
`;

describe('an owner that is killed soon after it has opened', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  const kill = async (path: string, onMarkerLeft: 'quarantine' | 'probe'): Promise<void> => {
    const owner = await workshop.run(OWNER, [path, onMarkerLeft]);
    expect(await owner.line()).toBe('written');
    await owner.end('SIGKILL');
  };

  /** How many processes read the directory before it is opened, with everything in it. */
  const readers = async (path: string, onMarkerLeft: 'quarantine' | 'probe'): Promise<number> => {
    let started = 0;
    const count = (): void => void started++;
    subscribe('child_process', count);
    try {
      const { environment, report } = await bench.environment(path, { durability: 'durable', onMarkerLeft });
      expect([report, String(environment.table('t').get('row'))]).toEqual([{ faults: [], quarantines: [] }, 'kept']);
      await environment.close();
      return started;
    } finally {
      unsubscribe('child_process', count);
    }
  };

  const marker = async (path: string): Promise<string> => {
    const names = await readdir(path);
    return join(path, names.find((name) => name.startsWith('running.')) ?? 'no marker');
  };
  const nothing = (): Promise<void> => Promise.resolve();
  const replace = async (path: string): Promise<void> => {
    const file = join(path, 'data.mdb');
    await copyFile(file, `${file}.copy`);
    await rename(`${file}.copy`, file);
  };
  const reboot = async (path: string): Promise<void> => {
    const file = await marker(path);
    const [trust, boot = '', ...rest] = (await readFile(file, 'utf8')).split('\n');
    expect(boot).not.toBe('');
    await writeFile(file, [trust, 'another boot', ...rest].join('\n'));
  };
  const upgrade = async (path: string): Promise<void> => writeFile(await marker(path), '');
  const age = async (path: string): Promise<void> => utimes(await marker(path), 1, 1);

  it.each(['quarantine', 'probe'] as const)('leaves a file that the next one opens at once (%s)', async (mode) => {
    const path = await bench.path();
    await kill(path, mode);
    expect(await readers(path, mode)).toBe(0);
    expect(await readers(path, mode)).toBe(0);
  });

  it.each<readonly [string, (path: string, kill: () => Promise<void>) => Promise<void>]>([
    ['and so was the next', (_, again) => again()],
    ['and whose file another one replaced', replace],
    ['and whose machine was booted since', reboot],
    ['and was of a release that did not note the boot', upgrade],
  ])('%s has its file read by another process first', async (_, then) => {
    const path = await bench.path();
    await kill(path, 'quarantine');
    await then(path, () => kill(path, 'quarantine'));
    expect(await readers(path, 'quarantine')).toBe(1);
    await kill(path, 'quarantine');
    expect(await readers(path, 'quarantine')).toBe(0);
  });

  it('and was preceded by such a one, but had lived for long, is followed at once', async () => {
    const path = await bench.path();
    for (const then of [nothing, age]) {
      await kill(path, 'quarantine');
      await then(path);
    }
    expect(await readers(path, 'quarantine')).toBe(0);
  });
});
