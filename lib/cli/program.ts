import { Command, CommanderError } from 'commander';
import { systemClock } from '../clock/clock.js';
import { parseDuration } from '../lanes/units.js';
import { addCompletion, COMPLETE, listCompletion } from './completion.js';
import { CommandContext, type CommonOptions } from './command-context.js';
import { EXIT, exitCodeOf } from './exit.js';
import { addCommands, type ActionFactory } from './commands.js';
import { generalHelp } from './examples.js';
import type { Terminal } from './terminal.js';

interface Outcome {
  exitCode: number;
}

/** The program as it is installed. */
interface Installed {
  /** By which name it was called. */
  readonly name: string;
  /** What `--version` shows. */
  readonly version: () => string;
}

const UNINSTALLED: Installed = { name: 'nestjs-lane-cache', version: () => 'unknown' };

/** Runs the command in `args`. Resolves to the exit code; never rejects. */
export async function run(
  args: readonly string[],
  terminal: Terminal,
  { name, version }: Installed = UNINSTALLED,
): Promise<number> {
  const outcome: Outcome = { exitCode: EXIT.done };
  const { words, form } = withoutAction(args);
  // Not an option of all commands: some have a --version of their own.
  if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
    terminal.out(version());
    return EXIT.done;
  }
  try {
    const program = programFor(terminal, form, outcome);
    if (words[0] === COMPLETE) await addCompletion(program.name(name), words);
    else listCompletion(program);
    await program.parseAsync([...words], { from: 'user' });
    return outcome.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.badArguments;
    const text = error instanceof Error ? error.message : String(error);
    const code = exitCodeOf(error);
    terminal.note(code === EXIT.internal && error instanceof Error ? (error.stack ?? text) : text);
    return code;
  }
}

/** `--action metrics` is the command `metrics`. */
function withoutAction(args: readonly string[]): { words: readonly string[]; form: 'command' | 'action' } {
  const at = args.findIndex((word) => word === '--action' || word.startsWith('--action='));
  if (at < 0) return { words: args, form: 'command' };
  const [flag = ''] = args.slice(at);
  const joined = flag.startsWith('--action=');
  const action = joined ? flag.slice('--action='.length) : (args[at + 1] ?? '');
  const rest = [...args.slice(0, at), ...args.slice(at + (joined ? 1 : 2))];
  return { words: [action, ...rest], form: 'action' };
}

function programFor(terminal: Terminal, form: 'command' | 'action', outcome: Outcome): Command {
  const program = new Command('nestjs-lane-cache')
    .description('Inspects and changes the cache of an app: through the app while it runs, else in its directory.')
    .option(
      '--lane <name>',
      "one lane; default: all, or the app's default lane for clear, explain, invalidate and bench",
    )
    .option('--directory <path>', 'the directory of the app (default: $LANE_CACHE_DIR or .lane-cache)')
    .option('--json', 'results as JSON, as in a pipe')
    .option('--no-json', 'results as tables, as on a terminal')
    .option('--yes', 'remove without asking')
    .option('--dry-run', 'show what would be removed')
    .option('--timeout <duration>', 'how long the app may take to answer', '5s')
    .option('--verbose', 'show more detail')
    .option('--action <command>', 'the same as the command, but never asks')
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', generalHelp())
    .showHelpAfterError('See npx nestjs-lane-cache --help.')
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.note(text.trimEnd()),
      getOutHelpWidth: () => terminal.columns,
      getErrHelpWidth: () => terminal.columns,
    })
    .exitOverride();
  const action: ActionFactory =
    (work) =>
    async (...given) => {
      const options: CommonOptions & { readonly timeout: string } = program.opts();
      const timeoutMs = parseDuration(options.timeout) * 1_000;
      const context = new CommandContext(options, timeoutMs, terminal, systemClock, form);
      outcome.exitCode = (await work(context, ...given)) ?? EXIT.done;
    };
  addCommands(program, action);
  return program;
}
