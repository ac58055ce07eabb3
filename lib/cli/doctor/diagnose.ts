import { join } from 'node:path';
import type { Clock } from '../../clock/clock.js';
import { isLaneCacheError } from '../../errors/lane-cache.error.js';
import type { AppDescription } from '../../ipc/operations.js';
import { parseAppRecord } from '../../ipc/app-record.js';
import { readStoredRecord } from '../../storage/directory/cache-directory.js';
import type { AppAccess } from '../app-access.js';
import type { CommandContext } from '../command-context.js';
import { EXIT, exitCodeOf } from '../exit.js';
import { findDirectory } from '../reach-app.js';
import { spanText } from '../texts.js';
import { checkpointFindings, clockFindings, memoryFindings } from './app-findings.js';
import { directoryFindings } from './directory-findings.js';
import type { Finding } from './findings.js';
import { laneFindings, tierFindings } from './lane-findings.js';

/** The cleanup runs once a day, so a day late is normal. */
const CLEANUP_GRACE_DAYS = 2;
const DEFAULT_DAYS = 7;

/** Checks the directory first, then what the app reports. */
export async function diagnose(context: CommandContext): Promise<readonly Finding[]> {
  const directory = await findDirectory(context.options.directory);
  const record = parseAppRecord(await readStoredRecord(directory).catch(() => undefined));
  const checkpoints = record === undefined || record.checkpoints === false ? undefined : record.checkpoints;
  const found = [...(await directoryFindings(directory, checkpoints ?? join(directory, 'checkpoints')))];
  try {
    await context.with(async (access, app) => {
      found.push(...(await appFindings(context, access, app)));
    });
  } catch (error) {
    found.push(unreachable(error));
  }
  return found;
}

async function appFindings(
  { options, clock }: CommandContext,
  { kind, operations, record }: AppAccess,
  app: AppDescription,
): Promise<readonly Finding[]> {
  const report = await operations.metrics();
  const lanes = Object.values(report.lanes).filter(({ lane }) => options.lane === undefined || options.lane === lane);
  const days = record === undefined ? undefined : (record.retention.maxAgeDays ?? DEFAULT_DAYS);
  const rule = typeof days === 'number' ? { maxAgeDays: days + CLEANUP_GRACE_DAYS, dryRun: true } : undefined;
  const status = await operations.status();
  const due = rule === undefined || status.state === 'off' ? undefined : await operations.cleanup(rule);
  const counted = [...tierFindings(lanes), ...lanes.flatMap(laneFindings)];
  return [
    ...(kind === 'live' ? counted : counted.map((finding) => dated(finding, report.timestamp, clock))),
    ...(kind === 'live' ? memoryFindings(app, report) : []),
    ...clockFindings(app, record?.savedAt),
    ...checkpointFindings(status, due),
  ];
}

/** A finding from counters that an app saved before it ended. */
function dated(finding: Finding, savedAt: string, clock: Clock): Finding {
  const age = spanText(Math.max(0, clock.now() - Date.parse(savedAt)));
  return { ...finding, evidence: `${finding.evidence} (when the app saved its counters, ${age} ago)` };
}

/** The finding for an error that keeps the app, or this command, from using the directory. Throws any other error. */
function unreachable(error: unknown): Finding {
  const evidence = error instanceof Error ? error.message : String(error);
  if (isLaneCacheError(error, 'FORMAT_UNSUPPORTED')) {
    const advice = 'Use the release that wrote it, or give this release another directory.';
    return { code: 'FORMAT', severity: 'error', evidence, advice };
  }
  if (isLaneCacheError(error, 'DIRECTORY_UNSUITABLE')) {
    return { code: 'DIRECTORY_UNSUITABLE', severity: 'error', evidence, advice: 'Give the app another directory.' };
  }
  if (exitCodeOf(error) !== EXIT.noAnswer) throw error;
  const advice = 'The process that owns the directory is stopped, or its event loop is blocked: check it.';
  return { code: 'OWNER_SILENT', severity: 'error', evidence, advice };
}
