// How far one shared log reaches: the library's own publisher and subscriber over a modelled server and clock.
//
//   node scripts/scaling.mjs               the table of docs/scaling.md
//   node scripts/scaling.mjs --calibrate   real instances beside simulated ones (needs redis-server on PATH)
//   node scripts/scaling.mjs 50 100        one size: instances, and invalidations per second of all together
import { measureReal } from './scaling/real.mjs';
import { simulate } from './scaling/simulation.mjs';

const TABLE = [10, 100, 1_000].flatMap((instances) => [1, 10, 100, 1_000].map((rate) => ({ instances, rate })));
const CALIBRATED = [10, 25, 50].flatMap((instances) => [10, 100].map((rate) => ({ instances, rate })));

const args = process.argv.slice(2);
const numbers = args.filter((arg) => !arg.startsWith('--')).map(Number);

if (args.includes('--calibrate')) await calibrate();
else await table(numbers.length === 2 ? [{ instances: numbers[0], rate: numbers[1] }] : TABLE);

async function table(sizes) {
  const head = [
    'instances',
    'invalidations/s',
    'server',
    'us each',
    'lag p50',
    'lag p99',
    'resolved p99',
    'all back',
    'failed over',
    'heap each',
  ];
  print(head);
  print(head.map(() => '---'));
  for (const size of sizes) {
    const { busy, usEach, lag, took, backMs, failedOverMs, heapKb } = await simulate(size);
    const load = busy > 0.99 ? 'over 100 %' : `${(100 * busy).toFixed(1)} %`;
    const end = busy > 0.99 ? ['-', '-'] : [`${Math.round(backMs)} ms`, `${Math.round(failedOverMs)} ms`];
    print([
      size.instances,
      size.rate,
      load,
      Math.round(usEach),
      ms(lag(0.5)),
      ms(lag(0.99)),
      ms(took(0.99)),
      ...end,
      `${Math.round(heapKb)} KB`,
    ]);
  }
}

async function calibrate() {
  print([
    'instances',
    'invalidations/s',
    'us each, real',
    'us each, simulated',
    'lag p50, real',
    'simulated',
    'lag p99, real',
    'simulated',
  ]);
  print(Array.from({ length: 8 }, () => '---'));
  for (const size of CALIBRATED) {
    const real = await measureReal(size);
    const model = await simulate({ ...size, isBrief: true });
    const lags = [0.5, 0.99].flatMap((share) => [ms(real.lag(share)), ms(model.lag(share))]);
    print([size.instances, size.rate, Math.round(real.usEach), Math.round(model.usEach), ...lags]);
  }
}

function print(cells) {
  console.log(`| ${cells.join(' | ')} |`);
}

function ms(value) {
  return value === undefined ? '-' : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}
