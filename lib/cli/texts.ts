import Table from 'cli-table3';
import { visibleText } from '../events/visible-text.js';

export { bytesText, countText, many, percentText, spanText } from '../texts/amounts.js';

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
