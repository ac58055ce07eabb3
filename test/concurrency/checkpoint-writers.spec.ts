import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Workshop } from '../support/child-process.js';

const WINS = 60;

/** Adds one to a counter in a checkpoint, again and again, each time on top of the version it has just read. */
const WRITER = `
import { CacheManager } from './lib/app/cache-app.js';
import { isLaneCacheError } from './lib/errors/lane-cache.error.js';
const [directory, name] = process.argv.slice(2);
const nextLine = () => new Promise((resolve) => process.stdin.once('data', resolve));
const cache = await CacheManager.fromSettings({ directory, logger: false });
console.log('ready');
await nextLine();
const wins = [];
while (wins.length < ${WINS}) {
  const current = await cache.snapshots.getCheckpoint('counter');
  const state = { total: (current?.state.total ?? 0) + 1, by: name };
  try {
    const { version } = await cache.snapshots.cacheCheckpoint('counter', state, { expectedVersion: current?.version ?? 0 });
    wins.push(version);
  } catch (error) {
    if (!isLaneCacheError(error, 'CHECKPOINT_CONFLICT')) throw error;
  }
}
const last = await cache.snapshots.restoreCheckpoint('counter');
console.log(JSON.stringify({ wins, total: last.total }));
// the owner stays until the other one is done
await nextLine();
await cache.close();
process.stdin.destroy();
`;

interface Outcome {
  readonly wins: readonly number[];
  readonly total: number;
}

describe('two processes that save over the version they have read', () => {
  let workshop: Workshop;
  let directory: string;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  beforeEach(async () => (directory = await mkdtemp(join(tmpdir(), 'lane-cache-writers-'))));
  afterEach(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));

  it('never both win', async () => {
    const writers = [
      await workshop.run(WRITER, [directory, 'first']),
      await workshop.run(WRITER, [directory, 'second']),
    ];
    for (const writer of writers) expect(await writer.line()).toBe('ready');
    for (const writer of writers) writer.say('go');
    const outcomes: Outcome[] = [];
    for (const writer of writers) outcomes.push(JSON.parse(await writer.line()));
    const wins = outcomes.flatMap((outcome) => outcome.wins).toSorted((a, b) => a - b);
    expect(wins).toEqual(Array.from({ length: 2 * WINS }, (_, n) => n + 1));
    expect(Math.max(...outcomes.map(({ total }) => total))).toBe(2 * WINS);
    for (const writer of writers) writer.say('done');
    for (const writer of writers) expect((await writer.end()).status).toBe(0);
  }, 60_000);
});
