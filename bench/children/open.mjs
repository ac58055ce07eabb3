// `open.mjs <directory> <lane as JSON>`: opens what is there, and says how long it took and what it weighs.
import { CacheManager } from '../library.mjs';

const [directory, lane] = process.argv.slice(2);
globalThis.gc();
const before = process.memoryUsage().rss;
const startedAt = performance.now();
const cache = await CacheManager.fromSettings({ lane: 'big', directory, lanes: { big: JSON.parse(lane) } });
const openMs = performance.now() - startedAt;
const found = await cache.get('entry:0');
globalThis.gc();
process.send({ openMs, rss: process.memoryUsage().rss - before, found: found !== undefined });
await cache.close();
process.disconnect();
