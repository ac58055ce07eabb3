import { spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const HELP = `test-long.mjs [--times=<factor>] [<phase> ...]

The full numbers behind the short tests: all phases, or those that are named. Two run side by side. Those that judge how long
something takes, or how much memory it needs, have the machine to themselves.
All of them take about an hour on two cores that do nothing else. --times=10 multiplies the rounds, for a night.
`;
const JEST = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];
const specs = (...paths) => [...JEST, '--runInBand', ...paths];
const APART = ['checkpoints-kill', 'workflows-kill', 'step-races', 'fault/redis', 'host-stress'];

/** `rounds` is what each spec takes as LANE_CACHE_ROUNDS; many cap it, because their rounds are dearer. */
const PHASES = [
  { name: 'processes of one directory', alone: true, rounds: 300, args: specs('test/fault/host-stress') },
  { name: 'soak', alone: true, args: ['--expose-gc', 'scripts/soak.mjs'] },
  { name: 'faults', rounds: 6, args: specs('test/fault', '--testPathIgnorePatterns', ...APART) },
  { name: 'rules left out', rounds: 20_000, args: specs('test/model/.*without-rules') },
  { name: 'interleavings', rounds: 600, args: specs('test/model', '--testPathIgnorePatterns', 'without') },
  { name: 'faults of servers', rounds: 8, args: specs('test/fault/redis') },
  { name: 'properties', rounds: 300, args: specs('test/property') },
  { name: 'killed savers of checkpoints', rounds: 40, args: specs('test/fault/checkpoints-kill') },
  { name: 'killed workflows', rounds: 30, args: specs('test/fault/workflows-kill') },
  { name: 'races of steps', rounds: 20, args: specs('test/fault/step-races') },
  { name: 'failing computations', rounds: 100_000, args: specs('test/concurrency/flights') },
  { name: 'options', rounds: 1, args: specs('test/e2e/options-bags') },
  { name: 'directories on a filling disk', rounds: 150, args: specs('test/regressions/directory-made') },
  { name: 'a million entries', rounds: 60, args: specs('test/e2e/many-entries') },
  { name: 'command line', rounds: 60, args: specs('test/e2e/cli') },
  { name: 'consumers', args: ['scripts/consumers.mjs', '--all'] },
];

const OPTIONS = { times: { type: 'string' }, help: { type: 'boolean', short: 'h' } };
const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
if (values.help === true) {
  console.log(`${HELP}\nPhases: ${PHASES.map(({ name }) => `'${name}'`).join(', ')}`);
  process.exit(0);
}
const times = Number(values.times ?? 1);
const wanted = positionals.length === 0 ? PHASES : PHASES.filter(({ name }) => positionals.includes(name));
const unknown = positionals.filter((name) => !PHASES.some((phase) => phase.name === name));
if (unknown.length > 0 || !(times > 0)) {
  console.error(`No such phase: ${unknown.join(', ')}. There are: ${PHASES.map(({ name }) => name).join(', ')}.`);
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), 'lane-cache-long-'));
const failed = [];
const beganAt = performance.now();
console.log(`What the phases print is in ${folder}.`);
for (const phase of wanted) if (phase.alone) await run(phase);
const waiting = wanted.filter(({ alone }) => !alone);
await Promise.all(
  [1, 2].map(async () => {
    for (let phase = waiting.shift(); phase !== undefined; phase = waiting.shift()) await run(phase);
  }),
);
console.log(
  `\n${failed.length === 0 ? 'All long tests passed' : `Failed: ${failed.join(', ')}`} in ${minutesSince(beganAt)} min.`,
);
process.exit(failed.length === 0 ? 0 : 1);

async function run({ name, rounds, args }) {
  const phaseBeganAt = performance.now();
  const file = join(folder, `${name.replaceAll(' ', '-')}.log`);
  const log = createWriteStream(file);
  const env = {
    ...process.env,
    ...(rounds === undefined ? {} : { LANE_CACHE_ROUNDS: String(Math.ceil(rounds * times)) }),
  };
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  const [status] = await once(child, 'close');
  log.end();
  await once(log, 'finish');
  const text = readFileSync(file, 'utf8');
  const tests = /^Tests: +(.*)$/m.exec(text)?.[1] ?? (status === 0 ? 'passed' : 'failed');
  console.log(
    `${name}${rounds === undefined ? '' : `, ${env.LANE_CACHE_ROUNDS} rounds`}: ${tests}, ${minutesSince(phaseBeganAt)} min`,
  );
  if (status === 0) return;
  failed.push(name);
  console.log(text.slice(-6_000));
}

function minutesSince(start) {
  return ((performance.now() - start) / 60_000).toFixed(1);
}
