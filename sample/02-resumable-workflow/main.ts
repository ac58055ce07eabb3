import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type ProcessLog, type Run, runProcess } from './processes.js';
import { createProgress } from './progress.js';
import { faultsOf, lineOf, type ProcessLogs } from './report.js';

/** A step in the middle of the job, where pages are rendered. */
const middleOf = (names: readonly string[]): number =>
  1 + names.findLastIndex((name, index) => index <= names.length / 2 && name.startsWith('render'));

type Start = (label: string, place: string, more?: Pick<Run, 'killIn' | 'mode'>) => Promise<ProcessLog>;

/** `main.js [<folder with Markdown>]`: builds a site in one go, by two processes of which one is killed, and once more anew. */
async function main(): Promise<void> {
  const library = resolve(process.argv[2] ?? 'node_modules');
  const directory = await mkdtemp(join(tmpdir(), 'resumable-workflow-'));
  const progress = createProgress(process.stdout);
  const start: Start = (label, place, more = {}) =>
    runProcess({ label, library, directory: join(directory, place), ...more }, progress);
  try {
    console.log(`Building a site of Markdown below ${library}, in batches of documents.`);
    console.log('The steps of a batch are read, render, check and index; the last step of all is a summary.\n');
    const whole = await start('uninterrupted', 'whole');
    console.log(lineOf('uninterrupted', whole));
    if (whole.documents === 0) {
      console.error(`\nThere is no Markdown of 200 bytes to 32 KB below ${library}`);
      process.exitCode = 1;
      return;
    }
    const { killed, adopting } = await startTwo(start);
    console.log(lineOf('killed', killed));
    console.log(lineOf('adopting', adopting));
    const anew = await start('started over', 'shared', { mode: 'start-over' });
    console.log(lineOf('started over', anew));
    conclude({ whole, killed, adopting, anew });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Two processes run one workflow. The first that starts a step in the middle is killed in it. */
async function startTwo(start: Start): Promise<Pick<ProcessLogs, 'killed' | 'adopting'>> {
  let isKilled = false;
  const killIn = (step: number, names: readonly string[]): boolean => {
    if (isKilled || step < middleOf(names)) return false;
    isKilled = true;
    return true;
  };
  const [one, other] = await Promise.all(
    ['one of two', 'other of two'].map((label) => start(label, 'shared', { killIn })),
  );
  if (one === undefined || other === undefined) throw new Error('Two processes were started.');
  return one.signal === null ? { killed: other, adopting: one } : { killed: one, adopting: other };
}

function conclude(logs: ProcessLogs): void {
  const { whole, adopting, anew } = logs;
  console.log(`\n${whole.result?.text}\n`);
  for (const [label, { result }] of Object.entries({ uninterrupted: whole, adopting, 'started over': anew })) {
    console.log(`${label.padEnd(13)} results ${result?.results.slice(0, 16)}  site ${result?.site.slice(0, 16)}`);
  }
  const faults = faultsOf(logs);
  for (const fault of faults) console.error(fault);
  if (faults.length > 0) process.exitCode = 1;
  else console.log('\nNo saved step ran again, and the result is that of the uninterrupted run.');
}

await main();
