import { InvalidArgumentError, type Command } from 'commander';
import type { CheckpointFilter, CleanupOptions } from '../checkpoints/checkpoint.js';
import { explain, keys, metrics } from './cache-commands.js';
import { bench, cleanup, doctor, verify } from './care-commands.js';
import { exportCheckpoint, list, remove, show, status } from './checkpoint-commands.js';
import type { CommandContext } from './command-context.js';
import { examplesOf } from './examples.js';
import { clear, invalidate } from './removal-commands.js';

/** Wraps what a command does: it gets the context, then what was given on the command line. */
export type Does = <A extends readonly unknown[]>(
  work: (context: CommandContext, ...given: A) => Promise<number | void>,
) => (...given: A) => Promise<void>;

export function addCommands(program: Command, does: Does): void {
  addLooking(program, does);
  addRemoving(program, does);
  addCaring(program, does);
  addCheckpoints(program.command('checkpoints').description('saved workflow states'), does);
}

function addLooking(program: Command, does: Does): void {
  program
    .command('metrics')
    .description('lanes in numbers')
    .addHelpText('after', examplesOf('metrics'))
    .action(does((context) => metrics(context)));
  program
    .command('status')
    .description('checkpoints in numbers')
    .addHelpText('after', examplesOf('status'))
    .action(does((context) => status(context)));
  program
    .command('keys [pattern]')
    .description('what is stored, and for how long')
    .addHelpText('after', examplesOf('keys'))
    .option('--limit <n>', 'at most so many (default: 200 in a table, else all)', whole(1))
    .action(
      does((context, pattern: string | undefined, { limit }: { limit?: number }) => keys(context, pattern, limit)),
    );
  program
    .command('explain <key>')
    .description('why a key is, or is not, served, and what the next call would do')
    .addHelpText('after', examplesOf('explain'))
    .action(does((context, key: string) => explain(context, key)));
}

function addRemoving(program: Command, does: Does): void {
  program
    .command('clear')
    .description('remove all entries of a lane')
    .addHelpText('after', examplesOf('clear'))
    .action(does((context) => clear(context)));
  program
    .command('invalidate [key]')
    .description('a key, what matches a pattern, or what carries tags (of all lanes)')
    .addHelpText('after', examplesOf('invalidate'))
    .option('--pattern <pattern>', '* is any run of characters, ? is one')
    .option('--tag <tag...>', 'one or more')
    .action(
      does((context, key: string | undefined, wish: { pattern?: string; tag?: string[] }) =>
        invalidate(context, { key, ...wish }),
      ),
    );
}

function addCaring(program: Command, does: Does): void {
  program
    .command('cleanup')
    .description('remove old checkpoints')
    .addHelpText('after', examplesOf('cleanup'))
    .option('--max-age-days <days>', 'older ones go (default: 7)', whole(0))
    .option('--keep-last <n>', 'so many versions of each stay', whole(0))
    .option('--workflow <name>', 'of one workflow')
    .action(does((context, wish: CleanupOptions) => cleanup(context, wish)));
  program
    .command('doctor')
    .description('what is wrong, by what it is known, and what to change')
    .addHelpText('after', examplesOf('doctor'))
    .action(does((context) => doctor(context)));
  program
    .command('verify')
    .description('read everything that is stored and compare it with its checksums')
    .addHelpText('after', examplesOf('verify'))
    .action(does((context) => verify(context)));
  program
    .command('bench')
    .description("measure a lane's tiers, beside its entries")
    .addHelpText('after', examplesOf('bench'))
    .option('--iterations <n>', 'calls', whole(1), 1_000)
    .option('--keys <n>', 'different keys', whole(1), 100)
    .action(
      does((context, { iterations, keys: count }: { iterations: number; keys: number }) =>
        bench(context, iterations, count),
      ),
    );
}

function addCheckpoints(group: Command, does: Does): void {
  group
    .command('list')
    .description('newest first')
    .addHelpText('after', examplesOf('checkpoints list'))
    .option('--workflow <name>', 'of one workflow')
    .option('--since <time>', 'saved at or after')
    .option('--until <time>', 'saved at or before')
    .option('--after <position>', 'the page behind this one')
    .option('--limit <n>', 'at most so many', whole(1), 100)
    .action(does((context, filter: CheckpointFilter) => list(context, filter)));
  group
    .command('show <id>')
    .description('one with its state')
    .addHelpText('after', examplesOf('checkpoints show'))
    .option('--version <n>', 'default: the newest', whole(1))
    .action(does((context, id: string, { version }: { version?: number }) => show(context, id, version)));
  group
    .command('export <id>')
    .description('one with its state, as JSON')
    .addHelpText('after', examplesOf('checkpoints export'))
    .option('--version <n>', 'default: the newest', whole(1))
    .option('--output <file>', 'a new file instead of the results')
    .action(
      does((context, id: string, { version, output }: { version?: number; output?: string }) =>
        exportCheckpoint(context, id, { version, output }),
      ),
    );
  group
    .command('rm <id>')
    .description('one version, or all of an id')
    .addHelpText('after', examplesOf('checkpoints rm'))
    .option('--version <n>', 'only this one', whole(1))
    .action(does((context, id: string, { version }: { version?: number }) => remove(context, id, version)));
}

/** A whole number from the command line. */
function whole(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} on.`);
  };
}
