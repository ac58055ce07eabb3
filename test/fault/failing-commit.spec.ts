import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Workshop } from '../support/child-process.js';
import { StorageBench } from '../support/storage.js';

const PAGE = 4096;

/** Commits from many turns, into a table that cannot be written and one that can, and prints what became of it. */
const WRITER = `
import { systemClock } from './lib/clock/clock.js';
import { openEnvironment } from './lib/storage/lmdb/open-environment.js';
const [directory, durability] = process.argv.slice(2);
let unhandled = 0;
process.on('unhandledRejection', () => unhandled++);
const environment = await openEnvironment({ directory, durability, clock: systemClock, minFreeBytes: 0,
  report: { fault() {}, quarantined() {} }, onMarkerLeft: 'probe' });
const [bad, good] = [environment.table('bad'), environment.table('good')];
const acked = [], refused = [], names = new Set();
const put = (key, tables) => environment.commit((transaction) => {
  for (const table of tables) transaction.put(table, key, Buffer.alloc(300));
}).then(() => acked.push(key), (error) => { refused.push(key); names.add(error.name); });
const all = [];
for (let n = 0; n < 200; n++) {
  all.push(put('g' + n, [good]));
  if (n % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
  if (n % 4 === 0) all.push(put('b' + n, [good, bad]));
  if (n % 10 === 0) await Promise.all(all);
}
await Promise.all(all);
await put('last', [good]);
await new Promise((resolve) => setImmediate(resolve));
const there = new Set(good.keys());
const result = {
  settled: acked.length + refused.length,
  lost: acked.filter((key) => !there.has(key)).length,
  torn: refused.filter((key) => there.has(key)).length,
  badAcked: acked.filter((key) => key.startsWith('b')).length,
  recovered: there.has('last'), names: [...names], unhandled };
await environment.close();
console.log(JSON.stringify(result));
`;

describe('commits that fail while others go on', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  /** An environment in which the only page of the table `bad` has lost its header. */
  const halfBroken = async (durability: 'durable' | 'session'): Promise<string> => {
    const path = await bench.path();
    const { environment } = await bench.environment(path, { durability });
    for (const name of ['good', 'bad']) {
      const table = environment.table(name);
      await environment.commit((transaction) => transaction.put(table, 'row', Buffer.from(`the row of ${name}`)));
    }
    await environment.close();
    const file = join(path, 'data.mdb');
    const bytes = await readFile(file);
    for (let at = bytes.indexOf('the row of bad'); at >= 0; at = bytes.indexOf('the row of bad', at + 1)) {
      bytes.fill(0, at - (at % PAGE), at - (at % PAGE) + 24);
    }
    await writeFile(file, bytes);
    return path;
  };

  it.each(['durable', 'session'] as const)('reject as a whole, and none is left unhandled (%s)', async (durability) => {
    const child = await workshop.run(WRITER, [await halfBroken(durability), durability]);
    const { status, lines } = await child.end();
    expect({ status, ...JSON.parse(lines[0] ?? '{}') }).toEqual({
      status: 0,
      settled: 251,
      lost: 0,
      torn: 0,
      badAcked: 0,
      recovered: true,
      names: ['StorageFault'],
      unhandled: 0,
    });
  });
});
