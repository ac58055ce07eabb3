import type { Finding } from '../errors/finding.js';
import { checkpointFindings, clockFindings, faultFindings, hostFindings, memoryFindings } from './app-findings.js';
import { laneFindings, tierFindings } from './lane-findings.js';
import type { Operations } from './operations.js';

/** The cleanup runs once a day, so a day late is normal. */
const CLEANUP_GRACE_DAYS = 2;
const DEFAULT_DAYS = 7;

/** What the findings about an app are made from. */
export interface Examined {
  readonly operations: Pick<Operations, 'describe' | 'metrics' | 'status' | 'cleanup'>;
  /** Only this lane's counters. Default: all. */
  readonly lane?: string | undefined;
  /** For how many days checkpoints stay, where one number says so. Absent: they are not looked at. */
  readonly maxAgeDays?: number | undefined;
  /** stored: the app has ended, so this process's memory says nothing about it. */
  readonly kind: 'live' | 'stored';
  /** When the last app recorded itself. */
  readonly savedAt?: string | undefined;
  /** Marks a finding that was made from counters. Default: as it is. */
  readonly counted?: (finding: Finding) => Finding;
}

/** What is wrong, as far as an app's own numbers show it. */
export async function appFindings(examined: Examined): Promise<readonly Finding[]> {
  const { operations, lane, maxAgeDays, kind, savedAt, counted = (finding) => finding } = examined;
  const app = await operations.describe();
  const report = await operations.metrics();
  const lanes = Object.values(report.lanes).filter((one) => lane === undefined || one.lane === lane);
  const status = await operations.status();
  const rule = maxAgeDays === undefined ? undefined : { maxAgeDays: maxAgeDays + CLEANUP_GRACE_DAYS, dryRun: true };
  const due = rule === undefined || status.state === 'off' ? undefined : await operations.cleanup(rule);
  return [
    ...[...tierFindings(lanes), ...lanes.flatMap(laneFindings), ...faultFindings(report), ...hostFindings(report)].map(
      counted,
    ),
    ...(kind === 'live' ? memoryFindings(app, report) : []),
    ...clockFindings(app, savedAt),
    ...checkpointFindings(status, due),
  ];
}

/** The one number of days that says how long checkpoints stay, if there is one. */
export function soleMaxAgeDays(
  maxAgeDays: number | false | Readonly<Record<string, number | false>> | undefined,
): number | undefined {
  const days = maxAgeDays ?? DEFAULT_DAYS;
  return typeof days === 'number' && Number.isFinite(days) ? days : undefined;
}
