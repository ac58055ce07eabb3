// `owner.mjs <directory> <entries>`: owns the directory, and fills L3 with entries of 1 KB, until it is killed.
import { CacheManager } from '../library.mjs';
import { keys, oneKilobyte } from '../values.mjs';

const [directory, entries] = process.argv.slice(2);
const cache = await CacheManager.fromSettings({ lane: 'standard', directory });
await cache.setMany(keys(Number(entries), 'document').map((key, index) => [key, oneKilobyte(index)]));
await cache.flush();
process.on('message', () => process.send(process.cpuUsage()));
process.send('ready');
