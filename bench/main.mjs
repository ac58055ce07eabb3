// `main.mjs [--json] [--quick] [--traces=<folder>] [<row>…]`: all rows, or those that are named. Slow is not broken: the exit code is 0.
import { cpus } from 'node:os';
import { VERSIONS } from './peers.mjs';
import { textOf } from './print.mjs';
import { adaptiveMiss } from './rows/adaptive-miss.mjs';
import { bulk } from './rows/bulk.mjs';
import { cachedHit } from './rows/cached-hit.mjs';
import { checkpoints } from './rows/checkpoints.mjs';
import { counting } from './rows/counting.mjs';
import { diskHit } from './rows/disk-hit.mjs';
import { eviction } from './rows/eviction.mjs';
import { host } from './rows/host.mjs';
import { httpRequests } from './rows/http.mjs';
import { memory } from './rows/memory.mjs';
import { memoryHit } from './rows/memory-hit.mjs';
import { million } from './rows/million.mjs';
import { miss } from './rows/miss.mjs';
import { present } from './rows/present.mjs';
import { redis } from './rows/redis-hit.mjs';
import { stages } from './rows/stages.mjs';
import { start } from './rows/start.mjs';
import { stalls } from './rows/stalls.mjs';
import { telemetry } from './rows/telemetry.mjs';
import { turns } from './rows/turns.mjs';
import { Scratch } from './scratch.mjs';

const ROWS = {
  l1: memoryHit,
  present,
  cached: cachedHit,
  counting,
  telemetry,
  disk: diskHit,
  redis,
  miss,
  turns,
  bulk,
  stages,
  http: httpRequests,
  host,
  stalls,
  memory,
  million,
  start,
  checkpoints,
  eviction,
  adaptive: adaptiveMiss,
};

const args = process.argv.slice(2);
const json = args.includes('--json');
const traces = args.find((arg) => arg.startsWith('--traces='))?.slice('--traces='.length);
const [named, flags] = [false, true].map((isFlag) => args.filter((arg) => arg.startsWith('--') === isFlag));
const unknown = [
  ...named.filter((name) => !(name in ROWS)),
  ...flags.filter((flag) => !/^--(json|quick|traces=.+)$/.test(flag)),
];
if (unknown.length > 0) {
  if (!args.includes('--help')) console.error(`Not known: ${unknown.join(', ')}.`);
  console.error(
    `npm run bench -- [--json] [--quick] [--traces=<folder>] [<row>…]\nRows: ${Object.keys(ROWS).join(', ')}.`,
  );
  process.exit(args.includes('--help') ? 0 : 2);
}

const machine = {
  node: process.version,
  platform: `${process.platform} ${process.arch}`,
  cpus: `${cpus().length} x ${cpus()[0]?.model}`,
  peers: Object.fromEntries(VERSIONS),
};
if (!json)
  console.log(
    `Node ${machine.node}, ${machine.platform}, ${machine.cpus}\nMedians of interleaved rounds; ratios travel, times don't.`,
  );

const rows = [];
for (const [name, measure] of Object.entries(ROWS)) {
  if (named.length > 0 && !named.includes(name)) continue;
  const scratch = new Scratch();
  try {
    const measured = [await measure(scratch, { many: args.includes('--quick') ? 50_000 : 1_000_000, traces })].flat();
    rows.push(...measured);
    if (!json) for (const row of measured) console.log(textOf(row));
  } finally {
    await scratch.end();
  }
}

const bars = rows.flatMap((row) => row.bars);
if (json) console.log(JSON.stringify({ at: new Date().toISOString(), machine, rows }, undefined, 2));
else console.log(`\n${bars.filter(({ met }) => met).length} of ${bars.length} bars met.`);
process.exit(0);
