import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createProgress } from './progress.js';
import { tableOf, unequalLanes } from './report.js';
import { type Process, type RunReport, runProcess } from './workers.js';

const PROCESSES: readonly Process[] = [
  { caching: 'uncached', runs: ['without the cache'] },
  { caching: 'cached', runs: ['1 empty directory'] },
  { caching: 'cached', runs: ['2 new process', '3 same process'] },
];

/** `main.js [<folder with Markdown>]`: serves the same requests in every run, and compares their cost and their results. */
async function main(): Promise<void> {
  const library = resolve(process.argv[2] ?? 'node_modules');
  const directory = await mkdtemp(join(tmpdir(), 'docs-pipeline-'));
  const progress = createProgress(process.stdout);
  try {
    console.log(`Rendering, checking and searching the Markdown below ${library}\n`);
    const reports: RunReport[] = [];
    for (const work of PROCESSES) reports.push(...(await runProcess(library, directory, work, progress)));
    print(reports);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function print(reports: readonly RunReport[]): void {
  const [uncached, ...runs] = reports;
  if (uncached === undefined) throw new Error('No run reported anything');
  console.log(`\n${tableOf(uncached, runs)}\n`);
  const unequal = unequalLanes(reports);
  if (unequal.length === 0) {
    console.log(`All ${reports.length} runs gave the same output for every request.`);
  } else {
    console.error(`The runs gave different outputs in: ${unequal.join(', ')}`);
    process.exitCode = 1;
  }
}

await main();
