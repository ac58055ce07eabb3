/** The call of the program in texts that people copy. */
const CALL = 'npx nestjs-lane-cache';

const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  metrics: ['metrics', 'metrics --lane standard --verbose', "metrics --json | jq '.lanes.standard.hitRate'"],
  top: ['top', 'top --lane standard --every 500ms', 'metrics --watch'],
  status: ['status', 'status --lane standard'],
  keys: ["keys 'user:*'", 'keys --lane docs --limit 20'],
  explain: ['explain user:42 --lane docs'],
  clear: ['clear --lane docs --dry-run', 'clear --lane docs --yes'],
  invalidate: ['invalidate user:42', "invalidate --pattern 'user:*' --dry-run", 'invalidate --tag batch_run_5 --yes'],
  cleanup: ['cleanup --max-age-days 30 --dry-run', 'cleanup --workflow nightly --keep-last 3 --yes'],
  doctor: ["doctor || echo 'look at the findings'"],
  verify: ['verify', 'verify --lane heavy'],
  bench: ['bench --lane heavy --iterations 10000'],
  'checkpoints list': ['checkpoints list --since 2026-01-31', 'checkpoints ls --workflow nightly'],
  'checkpoints show': ['checkpoints show run-7', 'checkpoints show run-7 --version 2'],
  'checkpoints export': ['checkpoints export run-7 --output run-7.json'],
  'checkpoints rm': ['checkpoints rm run-7 --version 2 --dry-run', 'checkpoints rm --workflow nightly --yes'],
  'checkpoints finish': ['checkpoints finish nightly'],
};

/** The end of the help of a command. Empty for a group of commands. */
export function examplesOf(command: string): string {
  const calls = EXAMPLES[command];
  return calls === undefined ? '' : examplesText(calls);
}

/** The end of the program's help. */
export function generalHelp(): string {
  const first = Object.values(EXAMPLES).flatMap((calls) => calls.slice(0, 1));
  return `${examplesText([...first, '--lane standard --action clear'])}
'lane-cache' is the same program. --version shows the version.
Each command has its own help:
  ${CALL} keys --help

Exit codes:
   0  done
   1  findings (doctor, verify)
   2  bad arguments, including an unknown lane
   3  no such directory, or not the directory of a lane cache
   4  the app that owns the directory did not answer in time
   5  not confirmed: no --yes, and no terminal to ask on
   6  not found (checkpoints show, export, rm)
  70  internal error
 130  interrupted at a question
`;
}

function examplesText(calls: readonly string[]): string {
  return `\nExamples:\n${calls.map((call) => `  ${CALL} ${call}\n`).join('')}`;
}
