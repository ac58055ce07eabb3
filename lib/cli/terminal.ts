import { styleText } from 'node:util';

export type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan';

/** Shows the progress of long work. */
export interface Progress {
  add(steps: number): void;
  end(): void;
}

/** interrupted: Ctrl-C or Ctrl-D instead of an answer. */
export type Answer = 'yes' | 'no' | 'interrupted';

/** Where a command writes and asks. `out` takes results, for standard output; `note` all else, for standard error. */
export interface Terminal {
  /** Whether results go to a terminal, not to a pipe or file. */
  readonly isInteractive: boolean;
  /** Whether a person can be asked. */
  readonly canAsk: boolean;
  readonly columns: number;
  readonly out: (text: string) => void;
  readonly note: (text: string) => void;
  readonly ask: (question: string) => Promise<Answer>;
  readonly paint: (style: Style, text: string) => string;
  readonly progress: (total: number, what: string) => Promise<Progress>;
  readonly screen: () => Screen;
}

/** What is drawn again and again, in a screen of its own while it is open. */
export interface Screen {
  draw(text: string): void;
  /** Resolves when the person has had enough: Ctrl-C. */
  readonly ended: Promise<void>;
  close(): void;
}

const OPEN_SCREEN = '\u001B[?1049h\u001B[?25l';
const CLOSE_SCREEN = '\u001B[?25h\u001B[?1049l';
const HOME = '\u001B[H';
const CLEAR_LINE = '\u001B[K';
const CLEAR_BELOW = '\u001B[J';

const SILENT_PROGRESS: Progress = Object.freeze({ add: () => undefined, end: () => undefined });
const DEFAULT_COLUMNS = 120;

/** The streams and environment of a process; `process` is one. */
export interface Streams {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number | undefined };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** A terminal on the streams of a process: colours and questions only where those are terminals. */
export function terminalOf(streams: Streams): Terminal {
  const { stdin, stdout, stderr, env } = streams;
  const isInteractive = stdout.isTTY === true;
  const isColoured = isInteractive && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
  const isNoted = stderr.isTTY === true;
  return {
    isInteractive,
    canAsk: stdin.isTTY === true && isNoted,
    columns: (isInteractive ? stdout.columns : undefined) ?? DEFAULT_COLUMNS,
    out: (text) => void stdout.write(`${text}\n`),
    note: (text) => void stderr.write(`${text}\n`),
    ask: (question) => ask(question, streams),
    paint: (style, text) => (isColoured ? styleText(style, text, { validateStream: false }) : text),
    progress: async (total, what) => (isNoted && total > 0 ? bar(total, what, stderr) : SILENT_PROGRESS),
    screen: () => openScreen(stdout, isInteractive ? 'alternate' : 'plain'),
  };
}

/** plain: texts follow each other, as in a pipe. */
function openScreen(stdout: NodeJS.WritableStream, kind: 'alternate' | 'plain'): Screen {
  let interrupt = (): void => undefined;
  const ended = new Promise<void>((resolve) => (interrupt = resolve));
  process.once('SIGINT', interrupt);
  if (kind === 'alternate') stdout.write(OPEN_SCREEN);
  return {
    ended,
    draw: (text) => {
      if (kind === 'plain') stdout.write(`${text}\n`);
      // Line by line, so that nothing flickers.
      else stdout.write(HOME + text.replaceAll('\n', `${CLEAR_LINE}\n`) + CLEAR_LINE + CLEAR_BELOW);
    },
    close: () => {
      process.removeListener('SIGINT', interrupt);
      if (kind === 'alternate') stdout.write(CLOSE_SCREEN);
    },
  };
}

async function ask(question: string, { stdin, stderr }: Streams): Promise<Answer> {
  const { createInterface } = await import('node:readline/promises');
  const lines = createInterface({ input: stdin, output: stderr });
  const interrupted = new Promise<'interrupted'>((resolve) => {
    for (const event of ['SIGINT', 'close']) lines.once(event, () => resolve('interrupted'));
  });
  const answered = lines.question(`${question} [y/N] `).then(
    (text): Answer => (/^y(es)?$/i.test(text.trim()) ? 'yes' : 'no'),
    () => interrupted,
  );
  const answer = await Promise.race([answered, interrupted]);
  lines.close();
  if (answer === 'interrupted') stderr.write('\n');
  return answer;
}

async function bar(total: number, what: string, stream: NodeJS.WritableStream): Promise<Progress> {
  const { SingleBar } = await import('cli-progress');
  const format = `${what} {bar} {percentage} %  {value}/{total}`;
  const shown = new SingleBar({ format, stream, hideCursor: true, clearOnComplete: true });
  shown.start(total, 0);
  return { add: (steps) => shown.increment(steps), end: () => shown.stop() };
}
