import Table from 'cli-table3';
import { LANES, type Lane, type LaneReport, type Range } from './messages.js';
import type { RunReport } from './workers.js';

const HEAD = [
  'run',
  'lane',
  'documents',
  'requests',
  'l1',
  'l2',
  'l3',
  'hit rate',
  'target',
  'time',
  'speed-up',
  'target',
];

/** Every run and lane in one table; speed-ups are against `uncached`, which served the same requests. */
export function tableOf(uncached: RunReport, runs: readonly RunReport[]): string {
  const table = new Table({
    head: HEAD,
    style: { head: [], border: [], compact: true },
    colAligns: ['left', 'left', ...HEAD.slice(2).map(() => 'right' as const)],
  });
  for (const { run, lanes } of [uncached, ...runs]) {
    table.push(...lanes.map((report) => [run, ...cellsOf(report, laneOf(uncached, report.lane))]));
  }
  return table.toString();
}

/** The lanes whose outputs differ between runs. */
export function unequalLanes(runs: readonly RunReport[]): readonly Lane[] {
  return LANES.filter((lane) => new Set(runs.map((run) => laneOf(run, lane).digest)).size !== 1);
}

function cellsOf(report: LaneReport, uncached: LaneReport): readonly string[] {
  const { lane, documents, requests, hits, wallMs, targets } = report;
  const own = [lane, count(documents), count(requests), count(hits.l1), count(hits.l2), count(hits.l3)];
  if (report === uncached) return [...own, '', '', seconds(wallMs), '', ''];
  const hitRate = (100 * (hits.l1 + hits.l2 + hits.l3)) / requests;
  const speedUp = uncached.wallMs / wallMs;
  return [
    ...own,
    `${hitRate.toFixed(1)} %`,
    beside(hitRate, targets.hitRate, '%'),
    seconds(wallMs),
    `${speedUp.toFixed(1)}x`,
    beside(speedUp, targets.speedUp, 'x'),
  ];
}

function beside(measured: number, target: Range | null, unit: string): string {
  if (target === null) return '';
  const [from, to] = target;
  const verdict = measured < from ? 'below' : measured > to ? 'above' : 'within';
  return `${verdict} ${from}-${to}${unit}`;
}

function laneOf(report: RunReport, lane: Lane): LaneReport {
  const found = report.lanes.find((candidate) => candidate.lane === lane);
  if (found === undefined) throw new Error(`Run '${report.run}' reported nothing about lane '${lane}'`);
  return found;
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`;
}
