import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Prints one table of all faults that the specs of a run have noted. */
export default class FaultTableReporter {
  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), 'lane-cache-faults-'));
    this.file = join(this.directory, 'rows');
    process.env.LANE_CACHE_FAULT_ROWS = this.file;
  }

  onRunComplete() {
    if (existsSync(this.file)) process.stdout.write(`\n${tableOf(rowsIn(this.file))}\n`);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const HEAD = ['fault', 'rounds', 'calls made', 'wrong values', 'lost acknowledged writes', 'crashes', 'recovered in'];

function rowsIn(file) {
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .toSorted((a, b) => numberOf(a) - numberOf(b) || (a.fault < b.fault ? -1 : 1))
    .map(({ fault, rounds, calls, wrong, lost, crashes, recoveredInMs }) => [
      ...[fault, rounds, calls, wrong, lost, crashes].map(String),
      recoveredInMs === undefined ? '-' : `${(recoveredInMs / 1_000).toFixed(1)} s`,
    ]);
}

function numberOf({ fault }) {
  return Number(/^F(\d+)/.exec(fault)?.[1] ?? 99);
}

function tableOf(rows) {
  const widths = HEAD.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column].length)));
  const lineOf = (row) =>
    row.map((text, column) => (column === 0 ? text.padEnd(widths[column]) : text.padStart(widths[column]))).join('  ');
  return [lineOf(HEAD), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(lineOf)].join('\n');
}
