import { inChild } from '../child.mjs';
import { CacheManager } from '../library.mjs';
import { median } from '../race.mjs';
import { atMost, row, under } from '../row.mjs';

const MB = 1024 * 1024;
const BATCH = 5_000;
const FEW = 10;
const TAGS = Array.from({ length: 15 }, (_, index) => `tag:${index}`);
const OPENINGS = 5;

const laneFor = (entries) => ({
  l1: { maxEntries: 500 },
  l2: { enabled: false },
  l3: { maxEntries: entries + BATCH, maxBytes: '4GB' },
  ttl: '1d',
});

/** Opening, and invalidating by tag, with very many entries in L3 and with a few. */
export async function million(scratch, { many }) {
  const directories = { many: scratch.directory(), few: scratch.directory() };
  const lane = laneFor(many);
  await fill(directories.many, lane, many);
  await fill(directories.few, lane, FEW);
  return [await opening(directories, lane, many), await tagging(directories, lane, many)];
}

async function fill(directory, lane, entries) {
  const cache = await CacheManager.fromSettings({ lane: 'big', directory, lanes: { big: lane } });
  for (let from = 0; from < entries; from += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, entries - from) }, (_, index) => [
      `entry:${from + index}`,
      { id: from + index },
    ]);
    await cache.setMany(batch, { tags: TAGS });
    await cache.flush();
  }
  await cache.close();
}

async function opening(directories, lane, many) {
  const seen = { many: [], few: [] };
  for (let round = 0; round < OPENINGS; round++) {
    for (const [name, directory] of Object.entries(directories)) {
      const opened = await inChild('open', [directory, JSON.stringify(lane)]);
      if (!opened.found) throw new Error(`open: the entry of ${name} was not found`);
      seen[name].push(opened);
    }
  }
  const ms = (name) => median(seen[name].map(({ openMs }) => openMs));
  const rss = (name) => median(seen[name].map((opened) => opened.rss)) / MB;
  const measured = new Map([
    [`open, ${many} entries (ms)`, ms('many')],
    [`open, ${FEW} entries (ms)`, ms('few')],
    [`RSS grown by opening, ${many} entries (MB)`, rss('many')],
    [`RSS grown by opening, ${FEW} entries (MB)`, rss('few')],
  ]);
  return row(`open with ${many} entries in L3`, '', measured, [
    under(ms('many'), 150, 'ms', 'opening'),
    under(rss('many') - rss('few'), 50, 'MB', `RSS more than with ${FEW}`),
  ]);
}

async function tagging(directories, lane, many) {
  const [large, small] = [await openFor(directories.many, lane), await openFor(directories.few, lane)];
  const took = { large: [], small: [] };
  for (const tag of TAGS) {
    took.large.push(await timed(() => large.invalidateByTag(tag)));
    took.small.push(await timed(() => small.invalidateByTag(tag)));
  }
  const gone = (await large.get('entry:1')) === undefined && (await small.get('entry:1')) === undefined;
  await Promise.all([large.close(), small.close()]);
  if (!gone) throw new Error('invalidateByTag: an entry was still served');
  const measured = new Map([
    [`${many} tagged entries`, median(took.large)],
    [`${FEW} tagged entries`, median(took.small)],
  ]);
  return row('invalidateByTag', 'us', measured, [
    atMost(median(took.large), median(took.small), 2, `the same with ${FEW} entries`),
  ]);
}

function openFor(directory, lane) {
  return CacheManager.fromSettings({ lane: 'big', directory, lanes: { big: lane } });
}

async function timed(work) {
  const startedAt = performance.now();
  await work();
  return (performance.now() - startedAt) * 1_000;
}
