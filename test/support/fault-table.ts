import { appendFileSync } from 'node:fs';

/** What a fault did, over all its rounds. */
export interface FaultRow {
  readonly fault: string;
  readonly rounds: number;
  readonly calls: number;
  readonly wrong: number;
  readonly lost: number;
  readonly crashes: number;
  /** The longest that it took until everything served again, in ms; absent where nothing was off. */
  readonly recoveredInMs?: number | undefined;
}

/** Rounds of a fault: `few` by default, LANE_CACHE_ROUNDS where the full number is wanted. */
export const roundsOf = (few: number, full = 60): number => {
  const wanted = Number(process.env['LANE_CACHE_ROUNDS'] ?? 0);
  return wanted > 0 ? Math.min(wanted, full) : few;
};

/** Adds a row to the table that is printed at the end of the run, see `fault-table-reporter.js`. */
export const tell = (row: FaultRow): void => {
  const file = process.env['LANE_CACHE_FAULT_ROWS'];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(row)}\n`);
};
