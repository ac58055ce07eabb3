import { join } from 'node:path';
import type { Finding } from '../errors/finding.js';
import { isLaneCacheError } from '../errors/lane-cache.error.js';
import { checkpointsOf, parseAppRecord } from '../ipc/app-record.js';
import { appFindings, soleMaxAgeDays } from '../operations/doctor.js';
import { directoryFindings } from '../storage/directory/directory-findings.js';
import { readStoredRecord } from '../storage/directory/cache-directory.js';
import type { AppAccess } from './app-access.js';
import type { CommandContext } from './command-context.js';
import { EXIT, exitCodeOf } from './exit.js';
import { findDirectory } from './reach-app.js';
import type { Terminal } from './terminal.js';
import { many, spanText, wrapped } from './texts.js';

/** What the running app finds. Without one, this process looks at the directory and at what the last app left. */
export async function diagnose(context: CommandContext): Promise<readonly Finding[]> {
  const directory = await findDirectory(context.options.directory);
  const record = parseAppRecord(await readStoredRecord(directory).catch(() => undefined));
  const checkpoints = record === undefined ? false : checkpointsOf(directory, record);
  const onDisk = (): Promise<readonly Finding[]> =>
    directoryFindings(directory, checkpoints || join(directory, 'checkpoints'));
  try {
    return await context.with(async (access) =>
      access.kind === 'live'
        ? access.operations.doctor(context.options.lane)
        : [...(await onDisk()), ...(await storedFindings(context, access))],
    );
  } catch (error) {
    return [...(await onDisk()), unreachable(error)];
  }
}

async function storedFindings(
  { options: { lane }, clock }: CommandContext,
  { operations, record }: AppAccess,
): Promise<readonly Finding[]> {
  const maxAgeDays = record === undefined ? undefined : soleMaxAgeDays(record.retention.maxAgeDays);
  const { timestamp } = await operations.metrics();
  const age = spanText(Math.max(0, clock.now() - Date.parse(timestamp)));
  const counted = (finding: Finding): Finding => ({
    ...finding,
    evidence: `${finding.evidence} (when the app saved its counters, ${age} ago)`,
  });
  return appFindings({ operations, lane, maxAgeDays, kind: 'stored', savedAt: record?.savedAt, counted });
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

export function findingsText(findings: readonly Finding[], { paint, columns }: Terminal): string {
  if (findings.length === 0) return `${paint('green', 'Healthy:')} no findings.`;
  const paragraphs = findings.map(({ lane, code, severity, evidence, advice }) => {
    const head = `${paint(severity === 'error' ? 'red' : 'yellow', severity)}  ${paint('bold', code)}${lane === undefined ? '' : `  lane ${lane}`}`;
    const seen = wrapped(`  ${evidence}`, columns, '  ');
    return [head, seen, wrapped(`  ${paint('cyan', '->')} ${advice}`, columns, '     ')].join('\n');
  });
  return [...paragraphs, many(findings.length, 'finding')].join('\n\n');
}
