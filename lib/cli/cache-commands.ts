import type { EntryInfo } from '../cache/entry-listing.js';
import type { Explanation, TierExplanation } from '../cache/explain.js';
import type { MetricsReport } from '../metrics/lane-cache-metrics.js';
import type { AppAccess } from './app-access.js';
import type { CommandContext } from './command-context.js';
import { metricsText } from './metrics-view.js';
import type { Terminal } from './terminal.js';
import { bytesText, many, shown, spanText, tableText } from './texts.js';

/** `metrics`: the counters of lanes. */
export async function metrics(context: CommandContext): Promise<void> {
  await context.with(async (access) => {
    const report = await access.operations.metrics();
    const { lane, verbose } = context.options;
    const lanes =
      lane === undefined ? Object.values(report.lanes) : [report.lanes[lane]].filter((one) => one !== undefined);
    noteAge(context, access, report);
    const detail = verbose === true ? 'full' : 'short';
    context.show(lane === undefined ? report : lanes[0], () =>
      lanes.map((one) => metricsText(one, context.terminal.paint, detail)).join('\n\n'),
    );
  });
}

function noteAge({ terminal, clock }: CommandContext, { kind, record }: AppAccess, report: MetricsReport): void {
  if (kind === 'live') return;
  if (record === undefined) {
    terminal.note('No app runs on this directory, and none has saved its counters.');
    return;
  }
  const age = spanText(Math.max(0, clock.now() - Date.parse(report.timestamp)));
  terminal.note(`No app runs on this directory. These are the counters that process ${record.pid} saved ${age} ago.`);
}

/** `keys`: the stored entries. */
export async function keys(context: CommandContext, pattern?: string, limit?: number): Promise<void> {
  await context.with(async ({ operations }) => {
    const found: EntryInfo[] = [];
    const maxRows = limit ?? (context.isJson ? Infinity : DEFAULT_ROWS);
    for await (const batch of operations.entries(pattern, context.options.lane)) {
      found.push(...batch);
      if (found.length > maxRows) break;
    }
    if (found.length > maxRows)
      context.terminal.note(`Only the first ${many(maxRows, 'key')} are shown. See more with --limit.`);
    const rows = found.slice(0, maxRows);
    context.show(rows, () => (rows.length === 0 ? 'No keys.' : keysText(rows, context.terminal)));
  });
}

const DEFAULT_ROWS = 200;
const KEY_SHARE = 0.4;

function keysText(entries: readonly EntryInfo[], { columns }: Terminal): string {
  const width = Math.max(16, Math.floor(columns * KEY_SHARE));
  const rows = entries.map((entry) => [
    shown(entry.key, width),
    entry.lane,
    entry.tiers.join(' '),
    spanText(entry.ageMs),
    spanText(entry.remainingMs),
    bytesText(entry.sizeBytes),
    spanText(entry.computeMs),
    shown(entry.tags.join(', '), 32),
  ]);
  return tableText(['key', 'lane', 'tiers', 'age', 'left', 'size', 'cost', 'tags'], rows);
}

/** `explain`: why a key is, or is not, served. */
export async function explain(context: CommandContext, key: string): Promise<void> {
  await context.with(async ({ operations, kind }) => {
    const explanation = await operations.explain(key, context.options.lane);
    if (kind === 'stored')
      context.terminal.note('No app runs on this directory: memory and the session disk are empty.');
    context.show(explanation, () => explanationText(explanation, context.terminal));
  });
}

const STATUS_STYLES = { present: 'green', absent: 'dim', unusable: 'yellow', off: 'dim' } as const;

function explanationText({ summary, tiers }: Explanation, { paint }: Terminal): string {
  const row = ({ tier, status, reason, detail }: TierExplanation): readonly string[] => [
    tier,
    paint(STATUS_STYLES[status], status),
    reason ?? '',
    shown(detail, 200),
  ];
  return `${shown(summary, 400)}\n\n${tableText(['tier', 'status', 'reason', 'detail'], tiers.map(row))}`;
}
