import { CacheManager } from '../library.mjs';
import { median } from '../race.mjs';
import { atMost, row } from '../row.mjs';

const MANY = 100_000;
const FEW = 1_000;
const BATCH = 500;
const ROUNDS = 200;

const CALLS = {
  latest: (service) => service.latest('flow 3'),
  'list of a page': (service) => service.list({ workflow: 'flow 3', limit: 50 }),
  'list by metadata': (service) => service.list({ metadata: { kind: 'rare', even: true }, limit: 50 }),
  'cleanup, dry run': (service) => service.cleanupOldCheckpoints({ dryRun: true }),
};

/** What looking at checkpoints costs when there are very many of them, and when there are few. */
export async function checkpoints(scratch) {
  const few = await filled(scratch, FEW);
  const many = await filled(scratch, MANY);
  const rows = [];
  for (const [name, call] of Object.entries(CALLS)) {
    const took = { few: [], many: [] };
    for (let round = 0; round < ROUNDS; round++) {
      took.few.push(await timed(() => call(few)));
      took.many.push(await timed(() => call(many)));
    }
    const measured = new Map([
      [`of ${MANY} checkpoints`, median(took.many)],
      [`of ${FEW} checkpoints`, median(took.few)],
    ]);
    rows.push(
      row(`checkpoints: ${name}`, 'us', measured, [
        atMost(median(took.many), median(took.few), 2, `the same with ${FEW} checkpoints`),
      ]),
    );
  }
  return rows;
}

async function filled(scratch, count) {
  const cache = await CacheManager.fromSettings({ directory: scratch.directory() });
  scratch.onEnd(() => cache.close());
  for (let from = 0; from < count; from += BATCH) {
    await Promise.all(
      Array.from({ length: BATCH }, (_, index) => {
        const step = from + index;
        return cache.snapshots.cacheCheckpoint(`id ${step}`, { step }, labelsOf(step, count));
      }),
    );
  }
  return cache.snapshots;
}

/** 50 versions of each store are rare, so that a page by metadata finds the same number in both. */
const labelsOf = (step, count) => ({
  workflow: `flow ${step % 10}`,
  step,
  metadata: { kind: step % (count / 100) < 1 ? 'rare' : 'common', even: Math.floor(step / (count / 100)) % 2 === 0 },
});

async function timed(work) {
  const startedAt = performance.now();
  await work();
  return (performance.now() - startedAt) * 1_000;
}
