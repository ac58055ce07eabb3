import type { EntryInfo } from '../cache/entry-listing.js';
import type { Explanation, TierExplanation } from '../cache/explain.js';
import type { MetricsReport } from '../metrics/lane-cache-metrics.js';
import type { AppAccess } from './app-access.js';
import type { CommandContext } from './command-context.js';
import { metricsText } from './metrics-view.js';
import type { Terminal } from './terminal.js';
import { bytesText, fittedTable, many, shown, shownMiddle, spanText, tableText, wrapped } from './texts.js';

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
      lanes.map((one) => metricsText(one, context.terminal, detail)).join('\n\n'),
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

export interface KeysOptions {
  readonly limit?: number;
  readonly wide?: boolean;
}

/** `keys`: the stored entries. */
export async function keys(context: CommandContext, pattern?: string, asked: KeysOptions = {}): Promise<void> {
  const { limit, wide = false } = asked;
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
    const columns = wide ? Infinity : context.terminal.columns;
    context.show(rows, () => (rows.length === 0 ? 'No keys.' : keysText(rows, columns)));
  });
}

const DEFAULT_ROWS = 200;
const GAP = 2;
/** A key keeps at least this width, however narrow the terminal is. */
const LEAST_KEY_WIDTH = 16;
const LEAST_TAGS_WIDTH = 12;

interface KeyColumn {
  readonly head: string;
  readonly cell: (entry: EntryInfo) => string;
  /** The columns with the highest number are left out first; 0 stays. */
  readonly leftOut: number;
}

const KEY_COLUMNS: readonly KeyColumn[] = [
  { head: 'lane', cell: (entry) => entry.lane, leftOut: 1 },
  { head: 'tiers', cell: (entry) => entry.tiers.join(' '), leftOut: 0 },
  { head: 'age', cell: (entry) => spanText(entry.ageMs), leftOut: 3 },
  { head: 'left', cell: (entry) => spanText(entry.remainingMs), leftOut: 0 },
  { head: 'size', cell: (entry) => bytesText(entry.sizeBytes), leftOut: 2 },
  { head: 'cost', cell: (entry) => spanText(entry.computeMs), leftOut: 4 },
];

/** Fits the table into the terminal: tags give way first, then columns, keys last. `--wide` cuts nothing. */
function keysText(entries: readonly EntryInfo[], columns: number): string {
  const widest = (texts: readonly string[]): number => Math.max(...texts.map((text) => text.length)) + GAP;
  const keyWidth = widest(['key', ...entries.map(({ key }) => shown(key, Infinity))]);
  const tagTexts = entries.map(({ tags }) => shown(tags.join(', '), Infinity));
  const tagWidth = Math.min(widest(['tags', ...tagTexts]), LEAST_TAGS_WIDTH + GAP);
  let kept = KEY_COLUMNS;
  const others = (): number =>
    kept.reduce((sum, { head, cell }) => sum + widest([head, ...entries.map(cell)]), tagWidth);
  for (let level = 4; level > 0 && keyWidth + others() > columns; level--) {
    kept = kept.filter(({ leftOut }) => leftOut !== level);
  }
  const forKeys = Math.max(LEAST_KEY_WIDTH, Math.min(keyWidth - GAP, columns - others() - GAP));
  const forTags = Math.max(LEAST_TAGS_WIDTH, columns - (others() - tagWidth) - forKeys - GAP);
  return tableText(
    ['key', ...kept.map(({ head }) => head), 'tags'],
    entries.map((entry) => [
      shownMiddle(entry.key, forKeys),
      ...kept.map(({ cell }) => cell(entry)),
      wordsText(entry.tags, forTags),
    ]),
  );
}

/** As many whole tags as fit, and how many more there are. */
function wordsText(words: readonly string[], width: number): string {
  const all = shown(words.join(', '), Infinity);
  if (all.length <= width) return all;
  for (let count = words.length - 1; count > 0; count--) {
    const text = `${shown(words.slice(0, count).join(', '), Infinity)} +${words.length - count}`;
    if (text.length <= width) return text;
  }
  return many(words.length, 'tag');
}

/** `explain`: why a key is, or is not, served. */
export async function explain(context: CommandContext, key: string): Promise<void> {
  await context.with(async ({ operations, kind }, app) => {
    const explanation = await operations.explain(key, context.options.lane);
    if (kind === 'stored')
      context.terminal.note('No app runs on this directory: memory and the session disk are empty.');
    context.show(explanation, () => explanationText(explanation, context.terminal));
    if (context.options.lane !== undefined || explanation.tiers.some(({ status }) => status === 'present')) return;
    for (const { lane } of app.policies) {
      const { matches } = await operations.preview({ key, lane });
      if (matches > 0) context.terminal.note(`Lane '${lane}' has this key. Name it with --lane ${lane}.`);
    }
  });
}

const STATUS_STYLES = { present: 'green', absent: 'dim', unusable: 'yellow', off: 'dim' } as const;

function explanationText({ summary, tiers }: Explanation, { paint, columns }: Terminal): string {
  const row = ({ tier, status, reason, detail }: TierExplanation): readonly string[] => [
    tier,
    paint(STATUS_STYLES[status], status),
    reason ?? '',
    shown(detail, 200),
  ];
  const heads = [{ head: 'tier' }, { head: 'status' }, { head: 'reason' }, { head: 'detail', least: 16 }];
  return `${wrapped(shown(summary, 400), columns)}\n\n${fittedTable(columns, heads, tiers.map(row))}`;
}
