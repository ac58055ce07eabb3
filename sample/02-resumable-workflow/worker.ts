import 'reflect-metadata';
import { inspect } from 'node:util';
import { NestFactory } from '@nestjs/core';
import { CacheManager } from 'nestjs-lane-cache';
import { AppModule } from './app.module.js';
import type { WorkerMessage } from './messages.js';
import { sha256, SiteFolder } from './site/site-folder.js';
import { SiteJob } from './site/site-job.js';
import type { StepResult } from './site/step-result.js';
import { WorkflowWithCaching } from './workflow/workflow-with-caching.js';

/** One process of the app: `worker.js <library> <directory> go-on|start-over`. It does not know whether it is the first. */
async function main(): Promise<void> {
  const [library = '', directory = '', mode = 'go-on'] = process.argv.slice(2);
  const app = await NestFactory.createApplicationContext(AppModule.of(library, directory), {
    logger: ['error', 'warn'],
  });
  const job = app.get(SiteJob);
  tell({ type: 'steps', documents: job.documents.length, names: job.steps.map(({ name }) => name) });
  const cache = app.get(CacheManager);
  cache.events.on('step', ({ action, step }) => tell({ type: action, step: Number(step) }));
  const workflow = new WorkflowWithCaching('site', job, cache);
  if (mode === 'start-over') await workflow.startOver();
  const results = await workflow.run();
  tell({
    type: 'result',
    result: { results: digestOf(results), site: await app.get(SiteFolder).digest(), text: textOf(results.at(-1)) },
  });
  await app.close();
  process.disconnect();
}

/** Distinguishes values by type too: a date from its text, a map from an object. */
function digestOf(results: readonly StepResult[]): string {
  return sha256(inspect(results, { depth: Infinity, maxArrayLength: Infinity, maxStringLength: Infinity }));
}

function textOf(last: StepResult | undefined): string {
  if (last?.kind !== 'summary') throw new Error('The last step gave no summary');
  const { documents, words, pageBytes, indexes, findings, brokenLinks } = last.summary;
  const broken = [...findings.values()].reduce((sum, times) => sum + times, 0);
  return (
    `${count(documents)} documents of ${count(words)} words became ${count(Math.round(pageBytes / 1_000))} KB of pages ` +
    `and ${indexes} indexes; ${count(broken)} findings by ${findings.size} rules, ${count(brokenLinks)} broken links.`
  );
}

const count = (value: number): string => value.toLocaleString('en-US');

function tell(message: WorkerMessage): void {
  process.send?.(message);
}

await main();
