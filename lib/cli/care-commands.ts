import type { PerformanceReport } from '../benchmark/measure-performance.js';
import type { CleanupOptions, CleanupReport, DueCheckpoint } from '../checkpoints/checkpoint.js';
import type { Verified } from '../operations/operations.js';
import type { CommandContext } from './command-context.js';
import { diagnose, findingsText } from './diagnose.js';
import { EXIT } from './exit.js';
import type { Progress, Terminal } from './terminal.js';
import {
  bytesText,
  countText,
  fittedTable,
  many,
  percentText,
  shown,
  shownMiddle,
  spanText,
  tableText,
} from './texts.js';

/** `cleanup`: removes old checkpoints. A dry run says why each would go. */
export async function cleanup(context: CommandContext, filter: CleanupOptions): Promise<void> {
  await context.with(async ({ operations }) => {
    const { lane, dryRun = false } = context.options;
    const options = { ...filter, ...(lane !== undefined && { lane }) };
    const plan = await operations.cleanup({ ...options, dryRun: true });
    if (dryRun) {
      context.show(plan, () => [tallyText(plan, 'Would remove'), dueText(plan, context)].join('\n\n').trim());
      return;
    }
    await context.confirm(`Remove ${many(plan.removed, 'version')}, ${bytesText(plan.bytes)}?`);
    const progress = await context.terminal.progress(plan.removed, 'removing');
    let shownSoFar = 0;
    for await (const step of operations.cleaning({ ...options, dryRun: false })) {
      if ('removed' in step) {
        progress.add(step.removed - shownSoFar);
        shownSoFar = step.removed;
      } else {
        progress.end();
        context.show(step.report, () => tallyText(step.report, 'Removed'));
      }
    }
  });
}

function tallyText({ removed, bytes, pinnedKept }: CleanupReport, verb: string): string {
  const kept = pinnedKept > 0 ? `; ${many(pinnedKept, 'pinned one')} kept` : '';
  return `${verb} ${many(removed, 'version')}, ${bytesText(bytes)}${kept}.`;
}

const REASONS: Readonly<Record<DueCheckpoint['reason'], string>> = {
  expired: 'its ttl has ended',
  'too-old': 'older than its lane keeps',
  surplus: 'newer versions are enough',
};

/** Why each version would go. */
function dueText({ checkpoints = [] }: CleanupReport, { clock, terminal }: CommandContext): string {
  if (checkpoints.length === 0) return '';
  const rows = checkpoints.map(({ id, version, lane, savedAt, reason }) => [
    shown(id, Infinity),
    `v${version}`,
    lane,
    `${spanText(Math.max(0, clock.now() - Date.parse(savedAt)))} ago`,
    REASONS[reason],
  ]);
  const heads = [{ head: 'id', least: 16 }, { head: 'version' }, { head: 'lane', leftOut: 1 }, { head: 'saved' }];
  return fittedTable(terminal.columns, [...heads, { head: 'why' }], rows);
}

interface Tally {
  readonly checked: number;
  readonly damaged: readonly string[];
  readonly damagedCount: number;
}

/** `verify`: reads everything that is stored and checks its checksums. */
export async function verify(context: CommandContext): Promise<number> {
  return context.with(async ({ operations }) => {
    const tallies = new Map<string, Tally>();
    let progress: Progress | undefined;
    for await (const step of operations.verify(context.options.lane)) {
      progress ??= await context.terminal.progress(step.total, 'verifying');
      progress.add(step.checked);
      tallies.set(placeOf(step), plus(tallies.get(placeOf(step)), step));
    }
    progress?.end();
    const findings = [...tallies.values()].reduce((sum, { damagedCount }) => sum + damagedCount, 0);
    context.show(Object.fromEntries(tallies), () => verificationText(tallies, context.terminal));
    return findings > 0 ? EXIT.findings : EXIT.done;
  });
}

function placeOf({ place, lane }: Verified): string {
  return lane === undefined ? place : `${lane}.${place}`;
}

function plus(tally: Tally | undefined, { checked, damaged, damagedCount }: Verified): Tally {
  const before = tally ?? { checked: 0, damaged: [], damagedCount: 0 };
  return {
    checked: before.checked + checked,
    damaged: [...before.damaged, ...damaged].slice(0, 1_000),
    damagedCount: before.damagedCount + damagedCount,
  };
}

function verificationText(tallies: ReadonlyMap<string, Tally>, { paint, columns }: Terminal): string {
  const rows = [...tallies].map(([place, { checked, damagedCount }]) => [
    place,
    countText(checked),
    damagedCount === 0 ? paint('green', 'intact') : paint('red', `${countText(damagedCount)} damaged`),
  ]);
  const named = [...tallies].flatMap(([place, { damaged }]) =>
    damaged.map((one) => shownMiddle(`${place}: ${one}`, columns)),
  );
  return [tableText(['place', 'checked', 'result'], rows), ...named].join('\n');
}

/** `doctor`: finds what is wrong, with evidence and advice. */
export async function doctor(context: CommandContext): Promise<number> {
  const findings = await diagnose(context);
  context.show({ findings }, () => findingsText(findings, context.terminal));
  return findings.length > 0 ? EXIT.findings : EXIT.done;
}

/** `bench`: measures how fast the tiers of a lane answer. */
export async function bench(context: CommandContext, iterations: number, keys: number): Promise<void> {
  await context.with(async ({ operations, kind }, app) => {
    const lane = context.options.lane ?? app.defaultLane;
    if (kind === 'stored')
      context.terminal.note('No app runs on this directory: its tiers are measured in this process.');
    const report = await operations.measure({ iterations, keys }, lane);
    context.show(report, () => reportText(report, lane));
  });
}

function reportText({ iterations, hitRate, tiers, miss }: PerformanceReport, lane: string): string {
  const rows = [...Object.entries(tiers), ['computed', { hits: 0, ...miss }] as const]
    .filter(([name, { hits }]) => hits > 0 || name === 'computed')
    .map(([name, { hits, avgMs, p50Ms, p99Ms }]) => [
      name,
      name === 'computed' ? '-' : countText(hits),
      spanText(avgMs),
      spanText(p50Ms),
      spanText(p99Ms),
    ]);
  const head = `${many(iterations, 'call')} of lane '${lane}', ${percentText(hitRate)} hits`;
  return `${head}\n\n${tableText(['answered by', 'hits', 'average', 'median', '99 %'], rows)}`;
}
