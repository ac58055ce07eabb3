import { writeFile } from 'node:fs/promises';
import type { CheckpointFilter, CheckpointInfo } from '../checkpoints/checkpoint.js';
import type { ShownCheckpoint } from '../operations/operations.js';
import type { AppAccess } from './app-access.js';
import type { CommandContext } from './command-context.js';
import { CommandFailed, EXIT } from './exit.js';
import type { Terminal } from './terminal.js';
import { bytesText, fittedTable, many, shown, shownMiddle, spanText, type Column } from './texts.js';

/** `checkpoints list`: one page, newest first. */
export async function list(context: CommandContext, filter: CheckpointFilter): Promise<void> {
  await context.with(async ({ operations }) => {
    const { lane } = context.options;
    const page = await operations.checkpoints({ ...filter, ...(lane !== undefined && { lane }) });
    const text = filter.workflow === undefined ? listText : timelineText;
    context.show(page, () => (page.items.length === 0 ? 'No checkpoints.' : text(page.items, context)));
    if (page.next !== undefined && !context.isJson) context.terminal.note(`There are more: --after ${page.next}`);
  });
}

function listText(items: readonly CheckpointInfo[], { terminal, clock }: CommandContext): string {
  const rows = items.map(({ id, version, lane, workflow = '', step = '', savedAt, sizeBytes, pinned }) => [
    shown(id, Infinity),
    `v${version}`,
    lane,
    shown(workflow, Infinity),
    shown(String(step), Infinity),
    `${spanText(Math.max(0, clock.now() - Date.parse(savedAt)))} ago`,
    bytesText(sizeBytes),
    pinned ? terminal.paint('cyan', 'pinned') : '',
  ]);
  return fittedTable(terminal.columns, LIST_COLUMNS, rows);
}

const LIST_COLUMNS: readonly Column[] = [
  { head: 'id', least: 16 },
  { head: 'version' },
  { head: 'lane', leftOut: 2 },
  { head: 'workflow', least: 12, leftOut: 1 },
  { head: 'step', least: 8, leftOut: 3 },
  { head: 'saved' },
  { head: 'size', leftOut: 4 },
  { head: '' },
];

const TIMELINE_COLUMNS: readonly Column[] = [
  { head: 'step', least: 8 },
  { head: 'id', least: 16 },
  { head: 'version' },
  { head: 'saved' },
  { head: 'took', leftOut: 1 },
  { head: 'size', leftOut: 2 },
  { head: 'saved by', least: 12 },
  { head: '' },
];

/** The versions of a workflow: what was saved when, how long it took, and by which process. */
function timelineText(items: readonly CheckpointInfo[], { terminal, clock }: CommandContext): string {
  const rows = items.map((item) => [
    shown(String(item.step ?? ''), Infinity),
    shown(item.id, Infinity),
    `v${item.version}`,
    `${spanText(Math.max(0, clock.now() - Date.parse(item.savedAt)))} ago`,
    item.durationMs === undefined ? '-' : spanText(item.durationMs),
    bytesText(item.storedBytes ?? item.sizeBytes),
    shown(item.savedBy ?? '-', Infinity),
    item.pinned ? terminal.paint('cyan', 'pinned') : '',
  ]);
  return fittedTable(terminal.columns, TIMELINE_COLUMNS, rows);
}

/** `checkpoints show`: a checkpoint with its state. */
export async function show(context: CommandContext, id: string, version: number | undefined): Promise<void> {
  await context.with(async ({ operations }) => {
    const found = await find(operations, id, version);
    context.show(asJson(found), () => showText(found, context.terminal));
  });
}

function showText({ info, state }: ShownCheckpoint, { paint, columns }: Terminal): string {
  const facts = Object.entries(info);
  const width = Math.max(...facts.map(([name]) => name.length)) + 2;
  const lines = facts.map(([name, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return `${paint('dim', name.padEnd(width))}${shownMiddle(text, Math.max(16, columns - width))}`;
  });
  return `${lines.join('\n')}\n\n${state}`;
}

/** `checkpoints export`: a checkpoint as JSON, to a new file or to standard output. */
export async function exportCheckpoint(
  context: CommandContext,
  id: string,
  { version, output }: { readonly version: number | undefined; readonly output: string | undefined },
): Promise<void> {
  await context.with(async ({ operations }) => {
    const found = await find(operations, id, version);
    const text = JSON.stringify(asJson(found), undefined, 2);
    if (output === undefined) {
      context.terminal.out(text);
      return;
    }
    await writeFile(output, `${text}\n`, { flag: 'wx', mode: 0o600 }).catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      throw new CommandFailed(EXIT.badArguments, `Cannot write '${output}': ${why}`);
    });
    context.terminal.note(`Version ${found.info.version} of '${shown(id, 120)}' was written to '${output}'.`);
  });
}

export interface RemovedCheckpoints {
  readonly version?: number;
  readonly workflow?: string;
}

/** `checkpoints rm`: removes one version, all versions of an id, or all of a workflow. */
export async function remove(
  context: CommandContext,
  id: string | undefined,
  { version, workflow }: RemovedCheckpoints,
): Promise<void> {
  if ((id === undefined) === (workflow === undefined) || (workflow !== undefined && version !== undefined))
    throw new CommandFailed(EXIT.badArguments, 'Give either an id, perhaps with --version, or --workflow.');
  if (workflow !== undefined) await removeWorkflow(context, workflow);
  else if (id !== undefined) await removeId(context, id, version);
}

async function removeWorkflow(context: CommandContext, workflow: string): Promise<void> {
  await context.with(async ({ operations }) => {
    const found = await operations.history({ workflow });
    const name = `workflow '${shown(workflow, 120)}'`;
    const what = `${many(found.length, 'version')} of ${name}`;
    if (context.options.dryRun === true) {
      context.show({ workflow, removed: found.length, dryRun: true }, () => `Would remove ${what}.`);
      return;
    }
    await context.confirm(`Remove ${what}${pinnedText(found)}, so that it starts anew?`);
    const removed = await operations.invalidateWorkflow(workflow);
    context.show(
      { workflow, removed, dryRun: false },
      () => `Removed ${many(removed, 'version')} of ${name}. It starts anew.`,
    );
  });
}

const pinnedText = (found: readonly CheckpointInfo[]): string =>
  found.some(({ pinned }) => pinned) ? ', including pinned ones' : '';

async function removeId(context: CommandContext, id: string, version: number | undefined): Promise<void> {
  await context.with(async ({ operations }) => {
    const found = (await operations.history(id)).filter((one) => version === undefined || one.version === version);
    if (found.length === 0) throw notFound(id, version);
    const what =
      version === undefined
        ? `${many(found.length, 'version')} of '${shown(id, 120)}'`
        : `version ${version} of '${shown(id, 120)}'`;
    if (context.options.dryRun === true) {
      context.show({ id, removed: found.length, dryRun: true }, () => `Would remove ${what}.`);
      return;
    }
    await context.confirm(`Remove ${what}${pinnedText(found)}?`);
    const removed = await operations.removeCheckpoint(id, version);
    context.show({ id, removed, dryRun: false }, () => `Removed ${what}.`);
  });
}

/** `checkpoints finish`: marks a workflow as done. */
export async function finish(context: CommandContext, workflow: string): Promise<void> {
  await context.with(async ({ operations }) => {
    await operations.finishWorkflow(workflow);
    context.show({ workflow, finished: true }, () => `Workflow '${shown(workflow, 120)}' is marked as finished.`);
  });
}

async function find(
  operations: AppAccess['operations'],
  id: string,
  version: number | undefined,
): Promise<ShownCheckpoint> {
  const found = await operations.checkpoint(id, version);
  if (found === undefined) throw notFound(id, version);
  return found;
}

function notFound(id: string, version: number | undefined): CommandFailed {
  const what =
    version === undefined ? `checkpoint '${shown(id, 120)}'` : `version ${version} of checkpoint '${shown(id, 120)}'`;
  return new CommandFailed(EXIT.notFound, `There is no ${what}. List the existing ones with 'checkpoints list'.`);
}

function asJson({ info, state }: ShownCheckpoint): object {
  const parsed: unknown = JSON.parse(state);
  return { ...info, state: parsed };
}
