import { createInterface } from 'node:readline/promises';
import { isatty } from 'node:tty';
import { styleText } from 'node:util';
import { SingleBar } from 'cli-progress';

export type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan';

/** Shows how far long work has come. */
export interface Progress {
  add(steps: number): void;
  end(): void;
}

/** Where a command writes and asks: results go out, everything else to the side. */
export interface Terminal {
  /** Whether a person reads the results. */
  readonly isWatched: boolean;
  /** Whether a person can be asked. */
  readonly canAsk: boolean;
  readonly columns: number;
  readonly out: (text: string) => void;
  readonly note: (text: string) => void;
  readonly ask: (question: string) => Promise<boolean>;
  readonly paint: (style: Style, text: string) => string;
  readonly progress: (total: number, what: string) => Progress;
}

const SILENT_PROGRESS: Progress = Object.freeze({ add: () => undefined, end: () => undefined });
const DEFAULT_COLUMNS = 120;

/** The process's own streams. */
export function processTerminal(): Terminal {
  const { stdout, stderr, stdin } = process;
  const isWatched = isatty(stdout.fd);
  const isColoured = isWatched && process.env['NO_COLOR'] === undefined && process.env['TERM'] !== 'dumb';
  return {
    isWatched,
    canAsk: isatty(stdin.fd) && isatty(stderr.fd),
    columns: isWatched ? stdout.columns : DEFAULT_COLUMNS,
    out: (text) => void stdout.write(`${text}\n`),
    note: (text) => void stderr.write(`${text}\n`),
    ask: (question) => ask(question),
    paint: (style, text) => (isColoured ? styleText(style, text) : text),
    progress: (total, what) => (isatty(stderr.fd) && total > 0 ? bar(total, what) : SILENT_PROGRESS),
  };
}

async function ask(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `)).trim());
  } finally {
    lines.close();
  }
}

function bar(total: number, what: string): Progress {
  const format = `${what} {bar} {percentage} %  {value}/{total}`;
  const shown = new SingleBar({ format, stream: process.stderr, hideCursor: true, clearOnComplete: true });
  shown.start(total, 0);
  return { add: (steps) => shown.increment(steps), end: () => shown.stop() };
}
