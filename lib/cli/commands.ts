import { InvalidArgumentError, type Command } from 'commander';
import type { CheckpointFilter, CleanupOptions } from '../checkpoints/checkpoint.js';
import { explain, keys, type KeysOptions, metrics } from './cache-commands.js';
import { defaultKey } from '../entries/arguments.js';
import { bench, cleanup, doctor, verify } from './care-commands.js';
import { exportCheckpoint, finish, list, remove, show, type RemovedCheckpoints } from './checkpoint-commands.js';
import type { CommandContext } from './command-context.js';
import { examplesOf } from './examples.js';
import { CommandFailed, EXIT } from './exit.js';
import { parseDuration } from '../lanes/units.js';
import { clear, invalidate } from './removal-commands.js';
import { status } from './status-command.js';
import { top } from './top.js';

const LEAST_INTERVAL_MS = 100;

/** Turns the work of a command into an action of commander: the context comes first, then arguments and options. */
export type ActionFactory = <A extends readonly unknown[]>(
  work: (context: CommandContext, ...given: A) => Promise<number | void>,
) => (...given: A) => Promise<void>;

export function addCommands(program: Command, action: ActionFactory): void {
  program.addHelpText('afterAll', ({ command }) => examplesOf(pathOf(command)));
  addInspection(program, action);
  addRemoval(program, action);
  addMaintenance(program, action);
  addCheckpoints(program.command('checkpoints').description('saved workflow states'), action);
}

/** Without the name of the program: `checkpoints list`. */
function pathOf(command: Command): string {
  const { parent } = command;
  return parent === null ? '' : `${pathOf(parent)} ${command.name()}`.trim();
}

function addInspection(program: Command, action: ActionFactory): void {
  program
    .command('metrics')
    .description('show the counters of lanes')
    .option('--watch', 'redraw until interrupted, as top')
    .option('--every <duration>', 'of --watch', '2s')
    .action(
      action((context, { watch = false, every }: { watch?: boolean; every: string }) =>
        watch ? top(context, interval(every)) : metrics(context),
      ),
    );
  program
    .command('top')
    .description('show the lanes as they change, until interrupted')
    .option('--every <duration>', 'how often to look', '2s')
    .action(action((context, { every }: { every: string }) => top(context, interval(every))));
  program
    .command('status')
    .description('show who owns the directory, the processes, the tiers and the checkpoints')
    .action(action((context) => status(context)));
  program
    .command('keys [pattern]')
    .description('list stored keys and how long they live')
    .option('--limit <n>', 'show at most n (default: 200 in a table, else all)', whole(1))
    .option('--wide', 'cut nothing, however wide the table becomes')
    .action(action((context, pattern: string | undefined, options: KeysOptions) => keys(context, pattern, options)));
  program
    .command('explain [key]')
    .description('show why a key is or is not served, and what the next call would do')
    .option('--method <Class.method>', 'a cached method without a key of its own, instead of a key')
    .option('--args <json>', 'the arguments of its call, as a JSON list', '[]')
    .action(
      action((context, key: string | undefined, call: { method?: string; args: string }) =>
        explain(context, keyOf(key, call)),
      ),
    );
}

/** The key itself, or the one that `@Cached` makes for a call of the method. */
function keyOf(key: string | undefined, { method, args }: { readonly method?: string; readonly args: string }): string {
  if ((key === undefined) === (method === undefined)) {
    throw new CommandFailed(EXIT.badArguments, 'Give a key, or --method Class.method with --args.');
  }
  if (method === undefined) return key ?? '';
  const made = defaultKey(method, argumentsIn(args));
  if (made === undefined) throw new CommandFailed(EXIT.badArguments, 'No key can be made from these arguments.');
  return made;
}

function argumentsIn(text: string): readonly unknown[] {
  try {
    const given: unknown = JSON.parse(text);
    if (Array.isArray(given)) return given;
  } catch {
    // refused below
  }
  throw new CommandFailed(EXIT.badArguments, `--args must be a JSON list, such as '["intro", 2]'.`);
}

function addRemoval(program: Command, action: ActionFactory): void {
  program
    .command('clear')
    .description('remove all entries of a lane')
    .action(action((context) => clear(context)));
  program
    .command('invalidate [key]')
    .description('invalidate a key, the keys that match a pattern, or all entries with a tag (in all lanes)')
    .option('--pattern <pattern>', '* matches any run of characters, ? matches one')
    .option('--tag <tag...>', 'one or more tags')
    .action(
      action((context, key: string | undefined, subject: { pattern?: string; tag?: string[] }) =>
        invalidate(context, { key, ...subject }),
      ),
    );
}

function addMaintenance(program: Command, action: ActionFactory): void {
  program
    .command('cleanup')
    .description('remove old checkpoints')
    .option('--max-age-days <days>', 'remove versions older than this (default: as the app keeps them, or 7)', whole(0))
    .option('--keep-last <n>', 'keep the newest n versions of each', whole(0))
    .option('--keep-unfinished', 'keep the newest version of each in a workflow that is not finished')
    .option('--workflow <name>', 'only of this workflow')
    .action(action((context, filter: CleanupOptions) => cleanup(context, filter)));
  program
    .command('doctor')
    .description('find what is wrong, with evidence and advice')
    .action(action((context) => doctor(context)));
  program
    .command('verify')
    .description('read everything that is stored and check its checksums')
    .action(action((context) => verify(context)));
  program
    .command('bench')
    .description("measure a lane's tiers, with entries of its own")
    .option('--iterations <n>', 'number of calls', whole(1), 1_000)
    .option('--keys <n>', 'number of different keys', whole(1), 100)
    .action(
      action((context, { iterations, keys: count }: { iterations: number; keys: number }) =>
        bench(context, iterations, count),
      ),
    );
}

function addCheckpoints(group: Command, action: ActionFactory): void {
  group
    .command('list')
    .alias('ls')
    .description('list checkpoints, newest first; --workflow also shows who saved them and how long each step took')
    .option('--workflow <name>', 'only of this workflow')
    .option('--since <time>', 'only saved at or after')
    .option('--until <time>', 'only saved at or before')
    .option('--after <position>', 'continue after this position')
    .option('--limit <n>', 'show at most n', whole(1), 100)
    .action(action((context, filter: CheckpointFilter) => list(context, filter)));
  group
    .command('show <id>')
    .description('show a checkpoint with its state')
    .option('--version <n>', 'default: the newest', whole(1))
    .action(action((context, id: string, { version }: { version?: number }) => show(context, id, version)));
  group
    .command('export <id>')
    .description('write a checkpoint with its state as JSON')
    .option('--version <n>', 'default: the newest', whole(1))
    .option('--output <file>', 'a new file instead of standard output')
    .action(
      action((context, id: string, { version, output }: { version?: number; output?: string }) =>
        exportCheckpoint(context, id, { version, output }),
      ),
    );
  group
    .command('rm [id]')
    .description('remove one version, all versions of an id, or all of a workflow so that it starts anew')
    .option('--version <n>', 'only this version', whole(1))
    .option('--workflow <name>', 'all ids of this workflow; steps under way cannot save afterwards')
    .action(action((context, id: string | undefined, what: RemovedCheckpoints) => remove(context, id, what)));
  group
    .command('finish <workflow>')
    .description('mark a workflow as done, so that its states may go')
    .action(action((context, workflow: string) => finish(context, workflow)));
}

/** How long to wait between two looks, in milliseconds. */
function interval(text: string): number {
  const ms = parseDuration(text) * 1_000;
  if (ms >= LEAST_INTERVAL_MS) return ms;
  throw new CommandFailed(EXIT.badArguments, `--every must be at least ${LEAST_INTERVAL_MS} ms.`);
}

/** A whole number from the command line. */
function whole(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least) return value;
    throw new InvalidArgumentError(`It must be a whole number of ${least} or more.`);
  };
}
