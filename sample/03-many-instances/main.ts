import Table from 'cli-table3';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Order, Report } from './messages.js';
import { findServer } from './server.js';

const INSTANCE = fileURLToPath(new URL('./instance.js', import.meta.url));
const ARTICLES = Array.from({ length: 40 }, (_, number) => `article-${number}`);
const ROUNDS = 5;
/** Other instances apply an invalidation within this time. */
const A_SECOND = 1_000;

async function main(): Promise<void> {
  const server = await findServer();
  try {
    const instances = await Promise.all([1, 2, 3].map(() => start(server.url)));
    console.log(`3 instances, ${ARTICLES.length} articles, each instance asks for all of them ${ROUNDS} times.\n`);
    for (let round = 0; round < ROUNDS; round++) await tellAll(instances, { order: 'ask', articles: ARTICLES });
    print(await tellAll(instances, { order: 'report' }));
    await changeOne(instances);
    for (const instance of instances) instance.send({ order: 'stop' } satisfies Order);
    await Promise.all(instances.map((instance) => once(instance, 'exit')));
  } finally {
    await server.stop();
  }
}

async function changeOne(instances: readonly ChildProcess[]): Promise<void> {
  const [first] = instances;
  if (first === undefined) return;
  const ask = { order: 'ask', articles: ['article-0'] } as const;
  const before = await tellAll(instances, ask);
  await tell(first, { order: 'changed', article: 'article-0' });
  await pause(A_SECOND);
  const after = await tellAll(instances, ask);
  const [old] = before.map(({ askedAt }) => askedAt[0]);
  const seen = new Set(after.map(({ askedAt }) => askedAt[0]));
  const isNew = seen.size === 1 && old !== undefined && !seen.has(old);
  console.log(`\nInstance 1 says that the price of article-0 has changed. Before, all had the one of ${old}.`);
  console.log(`Now all three have the one of ${[...seen].join(' and ')}.`);
  if (!isNew) {
    console.error('That is not what should have happened.');
    process.exitCode = 1;
  }
}

function print(reports: readonly Report[]): void {
  const table = new Table({ head: ['instance', 'requests', 'computed', 'from memory', 'from Redis'] });
  for (const [index, { requests, computations, hits }] of reports.entries()) {
    table.push([`${index + 1}`, `${requests}`, `${computations}`, `${hits.l1}`, `${hits.l4}`]);
  }
  const computed = reports.reduce((sum, { computations }) => sum + computations, 0);
  console.log(`${table.toString()}\n\n${computed} computations for ${ARTICLES.length} articles.`);
  if (computed !== ARTICLES.length) process.exitCode = 1;
}

async function start(url: string): Promise<ChildProcess> {
  const instance = fork(INSTANCE, [url]);
  await once(instance, 'message');
  return instance;
}

function tellAll(instances: readonly ChildProcess[], order: Order): Promise<Report[]> {
  return Promise.all(instances.map((instance) => tell(instance, order)));
}

async function tell(instance: ChildProcess, order: Order): Promise<Report> {
  const answer = once(instance, 'message');
  instance.send(order);
  const [report]: Report[] = await answer;
  if (report === undefined) throw new Error('An instance gave no report.');
  return report;
}

await main();
