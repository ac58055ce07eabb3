import { stripVTControlCharacters } from 'node:util';
import { visibleText } from '../events/event-texts.js';

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

/** A table without a frame; columns of numbers are right-aligned. Cells may be painted, and hold one line each. */
export function tableText(heads: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const table = [heads, ...rows];
  const columns = heads.map((_, column) => ({
    width: Math.max(...table.map((row) => visibleWidth(row[column] ?? ''))),
    align: rows.every((row) => isNumber(row[column])) ? 'right' : 'left',
  }));
  const lineOf = (row: readonly Cell[]): string =>
    columns
      .map(({ width, align }, column) => {
        const cell = row[column] ?? '';
        const space = ' '.repeat(width - visibleWidth(cell));
        return align === 'right' ? `${space}${cell}` : `${cell}${space}`;
      })
      .join(' '.repeat(GAP))
      .trimEnd();
  return table.map(lineOf).join('\n');
}

/** A column of a table that has to fit. */
export interface Column {
  readonly head: string;
  /** It may be cut, in the middle, down to this width. Default: it is never cut. */
  readonly least?: number;
  /** Left out if the table does not fit; the highest first. Default: it stays. */
  readonly leftOut?: number;
}

const GAP = 2;
const NARROW = 24;

/**
 * A table that fits into `columns`. Texts give way first, down to 24 characters or their least width if that is more; then
 * columns are left out; then texts give way down to their least width. Room that a column left is given back to texts.
 */
export function fittedTable(columns: number, heads: readonly Column[], rows: readonly (readonly Cell[])[]): string {
  const widthOf = (index: number): number =>
    Math.max(...[heads[index]?.head ?? '', ...rows.map((row) => row[index] ?? '')].map((cell) => visibleWidth(cell)));
  const widths = heads.map((_, index) => widthOf(index));
  let kept = heads.map((_, index) => index);
  const excess = (): number => kept.reduce((sum, index) => sum + (widths[index] ?? 0) + GAP, -GAP) - columns;
  const give = (leastOf: (least: number) => number): void => {
    const cuttable = kept.filter((index) => heads[index]?.least !== undefined);
    for (let over = excess(); over > 0; over = excess()) {
      const spare = (index: number): number => (widths[index] ?? 0) - leastOf(heads[index]?.least ?? 0);
      const [widest] = cuttable.toSorted((a, b) => spare(b) - spare(a));
      if (widest === undefined || spare(widest) <= 0) return;
      widths[widest] = (widths[widest] ?? 0) - Math.min(over, spare(widest));
    }
  };
  const takeBack = (): void => {
    for (const index of kept) {
      const width = widths[index] ?? 0;
      widths[index] = Math.min(widthOf(index), width + Math.max(0, -excess()));
    }
  };
  give((least) => Math.max(least, NARROW));
  while (excess() > 0) {
    const last = Math.max(...kept.map((index) => heads[index]?.leftOut ?? 0));
    if (last === 0) break;
    kept = kept.filter((index) => heads[index]?.leftOut !== last);
  }
  give((least) => least);
  takeBack();
  return tableText(
    kept.map((index) => heads[index]?.head ?? ''),
    rows.map((row) => kept.map((index) => cellOf(row[index] ?? '', heads[index], widths[index] ?? 0))),
  );
}

/** What a terminal draws two columns wide: scripts of East Asia, their full-width forms, and emoji. */
const WIDE =
  /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]/u;
/** What joins the character before it. */
const WITHOUT_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u;

/** How many columns of a terminal the cell takes. */
function visibleWidth(cell: Cell): number {
  const text = stripVTControlCharacters(String(cell));
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const character of text) if (!WITHOUT_WIDTH.test(character)) width += WIDE.test(character) ? 2 : 1;
  return width;
}

const ASCII = /^[\x20-\x7e]*$/;

const cellOf = (cell: Cell, column: Column | undefined, width: number): Cell =>
  column?.least === undefined || typeof cell === 'number' ? cell : shownMiddle(cell, width);

/** The text in lines of at most `width`, broken between words; further lines begin with `indent`. */
export function wrapped(text: string, width: number, indent = ''): string {
  return text
    .split('\n')
    .map((line) => wrappedLine(line, width, indent))
    .join('\n');
}

function wrappedLine(text: string, width: number, indent: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/(?<=[^\s\d]) /)) {
    const longer = line === '' ? `${lines.length > 0 ? indent : ''}${word}` : `${line} ${word}`;
    if (line === '' || visibleWidth(longer) <= width) {
      line = longer;
      continue;
    }
    lines.push(line);
    line = `${indent}${word}`;
  }
  return [...lines, line].join('\n');
}

function isNumber(cell: Cell | undefined): boolean {
  return typeof cell === 'number' || (typeof cell === 'string' && /^[\d.,]+( %| ?[KMGT]?B)?$|^-$/.test(cell));
}
