import Table from 'cli-table3';
import { visibleText } from '../events/visible-text.js';

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'] as const;

/** 1536 -> '1.5 KB' */
export function bytesText(bytes: number): string {
  const step = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const amount = bytes / 1024 ** step;
  return `${step === 0 || amount >= 100 ? Math.round(amount) : amount.toFixed(1)} ${UNITS[step] ?? 'B'}`;
}

const SPANS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const;

/** 90000 -> '1.5 min'; below a second with two significant digits. */
export function spanText(ms: number): string {
  for (const [unit, length] of SPANS) {
    if (ms < length) continue;
    const amount = ms / length;
    return `${amount >= 100 ? Math.round(amount) : Number(amount.toFixed(1))} ${unit}`;
  }
  if (ms >= 1) return `${Number(ms.toFixed(1))} ms`;
  return ms === 0 ? '0 ms' : `${Number((ms * 1_000).toPrecision(2))} us`;
}

export function countText(count: number): string {
  return count.toLocaleString('en-US');
}

export function percentText(percent: number): string {
  return `${percent.toFixed(1)} %`;
}

/** '1 version', '3 versions' */
export function many(count: number, one: string): string {
  return `${countText(count)} ${one}${count === 1 ? '' : 's'}`;
}

/** A text on one line, cut to `width`, with control characters made visible. */
export function shown(text: string, width: number): string {
  const line = visibleText(text);
  return line.length <= width ? line : `${line.slice(0, Math.max(1, width - 1))}…`;
}

/** As `shown`, cut in the middle: texts with the same beginning stay apart. */
export function shownMiddle(text: string, width: number): string {
  const line = visibleText(text);
  if (line.length <= width) return line;
  const end = Math.floor((width - 1) / 2);
  return `${line.slice(0, width - 1 - end)}…${line.slice(line.length - end)}`;
}

export type Cell = string | number;

/** A table without a frame; columns of numbers are right-aligned. Cells may be painted. */
export function tableText(heads: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const table = new Table({
    head: [...heads],
    chars: NO_FRAME,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    colAligns: heads.map((_, column) => (rows.every((row) => isNumber(row[column])) ? 'right' : 'left')),
  });
  for (const row of rows) table.push([...row]);
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

const FRAME_PARTS = ['top', 'bottom', 'left', 'right', 'mid', 'middle'];
const FRAME_JOINTS = ['top-mid', 'top-left', 'top-right', 'bottom-mid', 'bottom-left', 'bottom-right'];
const MORE_JOINTS = ['left-mid', 'mid-mid', 'right-mid'];
const NO_FRAME = Object.fromEntries([...FRAME_PARTS, ...FRAME_JOINTS, ...MORE_JOINTS].map((part) => [part, '']));

function isNumber(cell: Cell | undefined): boolean {
  return typeof cell === 'number' || (typeof cell === 'string' && /^[\d.,]+( %| ?[KMGT]?B)?$|^-$/.test(cell));
}
