import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type ProcessLog, runProcess } from './processes.js';
import { createProgress } from './progress.js';
import { faultsOf, lineOf } from './report.js';

/** A step in the middle of the job, where pages are rendered. */
const killIn = (names: readonly string[]): number =>
  1 + names.findLastIndex((name, index) => index <= names.length / 2 && name.startsWith('render'));

/** `main.js [<folder with Markdown>]`: builds a site in one go, then once more in a process that is killed and one that goes on. */
async function main(): Promise<void> {
  const library = resolve(process.argv[2] ?? 'node_modules');
  const directory = await mkdtemp(join(tmpdir(), 'resumable-workflow-'));
  const progress = createProgress(process.stdout);
  const run = async (label: string, place: string, kill?: typeof killIn): Promise<ProcessLog> => {
    const options = { label, library, directory: join(directory, place), ...(kill !== undefined && { killIn: kill }) };
    const heard = await runProcess(options, progress);
    console.log(lineOf(label, heard));
    return heard;
  };
  try {
    console.log(`Building a site of Markdown below ${library}, in batches of documents.`);
    console.log('The steps of a batch are read, render, check and index; the last step of all is a summary.\n');
    const whole = await run('uninterrupted', 'whole');
    if (whole.documents === 0) {
      console.error(`\nThere is no Markdown of 200 bytes to 32 KB below ${library}`);
      process.exitCode = 1;
      return;
    }
    const killed = await run('killed', 'interrupted', killIn);
    const resumed = await run('resumed', 'interrupted');
    conclude(whole, killed, resumed);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function conclude(whole: ProcessLog, killed: ProcessLog, resumed: ProcessLog): void {
  console.log(`\n${whole.result?.text}\n`);
  for (const [label, { result }] of Object.entries({ uninterrupted: whole, resumed })) {
    console.log(`${label.padEnd(13)} results ${result?.results.slice(0, 16)}  site ${result?.site.slice(0, 16)}`);
  }
  const faults = faultsOf(whole, killed, resumed);
  for (const fault of faults) console.error(fault);
  if (faults.length > 0) process.exitCode = 1;
  else console.log('\nNo saved step ran again, and the result is that of the uninterrupted run.');
}

await main();
