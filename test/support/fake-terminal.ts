import type { Answer, Terminal } from '../../lib/cli/terminal.js';
import { run } from '../../lib/cli/program.js';

export interface TerminalWish {
  readonly isInteractive?: boolean;
  /** What the person at it says; nobody is there without. */
  readonly answers?: readonly Answer[];
  readonly columns?: number;
  /** After how many drawings the person has had enough. */
  readonly frames?: number;
}

export interface Ran {
  readonly exitCode: number;
  readonly out: string;
  readonly notes: string;
  readonly asked: readonly string[];
  /** How far long work came, as `done of total`. */
  readonly progress: readonly string[];
}

/** Runs the command line in this process, as from a pipe unless a person is wished for. */
export async function runCli(args: readonly string[], wish: TerminalWish = {}): Promise<Ran> {
  const [out, notes, asked, bars]: [string[], string[], string[], string[]] = [[], [], [], []];
  const answers = [...(wish.answers ?? [])];
  let leave = (): void => undefined;
  const enough = new Promise<void>((resolve) => (leave = resolve));
  const show = (text: string): void => {
    if (out.push(text) >= (wish.frames ?? 1)) leave();
  };
  const terminal: Terminal = {
    isInteractive: wish.isInteractive ?? false,
    canAsk: wish.answers !== undefined,
    columns: wish.columns ?? 100,
    out: show,
    note: (text) => void notes.push(text),
    ask: (question) => {
      asked.push(question);
      return Promise.resolve(answers.shift() ?? 'no');
    },
    paint: (_style, text) => text,
    screen: () => ({ draw: show, ended: enough, close: () => undefined }),
    progress: async (total) => {
      let done = 0;
      return { add: (steps) => void (done += steps), end: () => void bars.push(`${done} of ${total}`) };
    },
  };
  const exitCode = await run(args, terminal);
  return { exitCode, out: out.join('\n'), notes: notes.join('\n'), asked, progress: bars };
}
