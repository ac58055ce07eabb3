// `full-lane.mjs <directory> <lane> <full|values|empty>`: fills a lane's memory to its limits, or keeps the same values in a plain
// map beside an empty cache, or does neither, and says what the process weighs.
import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { CacheManager } from '../library.mjs';
import { text } from '../values.mjs';

const [directory, lane, fill] = process.argv.slice(2);
const ROW_BYTES = 900;

const cache = await CacheManager.fromSettings({ lane, directory });
const { maxEntries, maxBytes } = cache.policy.l1;
const kept = new Map();
if (fill !== 'empty') {
  const bytes = Math.floor((maxBytes / maxEntries) * 0.98);
  for (let index = 0; index < maxEntries; index++) {
    const value = () => (lane === 'docs' ? text(index, bytes) : rows(index, bytes));
    if (fill === 'full') await cache.getOrSet(`${lane}:${index}`, value);
    else kept.set(`${lane}:${index}`, value());
    if (index % 20 === 0) await cache.flush();
  }
}
await cache.flush();
for (let round = 0; round < 5; round++) {
  globalThis.gc();
  await wait(50);
}
const { entries, sizeBytes } = cache.getMetrics().l1;
process.send({ rss: process.memoryUsage().rss, anonymous: anonymousBytes(), entries, sizeBytes, kept: kept.size });
await cache.close();
process.disconnect();

/** A result with rows, dates and texts, of about so many bytes when encoded. */
function rows(seed, bytes) {
  const count = Math.floor(bytes / (ROW_BYTES + 60));
  return Array.from({ length: count }, (_, index) => ({
    id: index,
    name: `row ${index}`,
    at: new Date(1_700_000_000_000 + index),
    text: text(seed * count + index, ROW_BYTES),
  }));
}

/** What is not a view of a file, where the system says so: pages of the database are the kernel's to drop. */
function anonymousBytes() {
  try {
    const kilobytes = /RssAnon:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}
