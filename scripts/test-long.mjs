// The full numbers behind the short tests: every suite that scales, with its rounds. Takes an hour or more.
import { spawnSync } from 'node:child_process';

const JEST = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];

const phases = [
  {
    name: 'faults',
    rounds: 60,
    args: [
      ...JEST,
      '--runInBand',
      'test/fault',
      '--testPathIgnorePatterns',
      'checkpoints-kill',
      'workflows-kill',
      'step-races',
      'fault/redis',
      'host-stress',
    ],
  },
  { name: 'processes of one directory', rounds: 300, args: [...JEST, '--runInBand', 'test/fault/host-stress'] },
  { name: 'faults of servers', rounds: 60, args: [...JEST, '--runInBand', 'test/fault/redis'] },
  { name: 'killed savers of checkpoints', rounds: 200, args: [...JEST, '--runInBand', 'test/fault/checkpoints-kill'] },
  { name: 'killed workflows', rounds: 200, args: [...JEST, '--runInBand', 'test/fault/workflows-kill'] },
  { name: 'races of steps', rounds: 100, args: [...JEST, '--runInBand', 'test/fault/step-races'] },
  { name: 'failing computations', rounds: 100_000, args: [...JEST, '--runInBand', 'test/concurrency/flights'] },
  { name: 'interleavings', rounds: 20_000, args: [...JEST, '--runInBand', 'test/model'] },
  { name: 'properties', rounds: 100_000, args: [...JEST, '--runInBand', 'test/property'] },
  { name: 'options', rounds: 1, args: [...JEST, '--runInBand', 'test/e2e/options-bags'] },
  { name: 'a million entries', rounds: 60, args: [...JEST, '--runInBand', 'test/e2e/many-entries'] },
  { name: 'command line', rounds: 100, args: [...JEST, '--runInBand', 'test/e2e/cli'] },
  { name: 'consumers', args: ['scripts/consumers.mjs', '--all'] },
  { name: 'soak', args: ['--expose-gc', 'scripts/soak.mjs'] },
];

const wanted = process.argv.slice(2);
const failed = [];
for (const { name, rounds, args } of phases) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.log(`\n=== ${name}${rounds === undefined ? '' : `, ${rounds} rounds`}`);
  const env = { ...process.env, ...(rounds === undefined ? {} : { LANE_CACHE_ROUNDS: String(rounds) }) };
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit', env });
  if (status !== 0) failed.push(name);
}
console.log(failed.length === 0 ? '\nAll long tests passed.' : `\nFailed: ${failed.join(', ')}`);
process.exit(failed.length === 0 ? 0 : 1);
