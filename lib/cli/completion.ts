import type { Command, Option } from 'commander';
import { parseAppRecord } from '../ipc/app-record.js';
import { BUILT_IN_LANES } from '../lanes/built-in-lanes.js';
import { readStoredRecord } from '../storage/directory/cache-directory.js';
import { findDirectory } from './reach-app.js';

/** The command that prints the script for a shell, and that the script asks for what may come next. */
export const COMPLETE = 'complete';

/** Lists the command in the help. What it does needs a library that no other command should have to load. */
export function listCompletion(program: Command): void {
  program
    .command(`${COMPLETE} <shell>`)
    .description('print the script by which bash, zsh, fish or powershell completes the commands');
}

/** Makes `program` complete itself for `words`: its commands and options, and the lanes of the app. */
export async function addCompletion(program: Command, words: readonly string[]): Promise<void> {
  const lanes = await lanesOf(words);
  // The build turns an import without a second argument into a require, which gives no default of an ES module.
  const { default: completed } = await import('@bomb.sh/tab/commander', { with: {} });
  const root = completed(program);
  const offerLanes = (offer: (value: string, description: string) => void): void =>
    lanes.forEach((lane) => offer(lane, ''));
  // The library knows the options of the program only before a command. Here they may stand behind it too.
  for (const command of [root, ...root.commands.values()]) {
    for (const option of program.options) {
      const name = nameOf(option);
      if (!option.required) command.option(name, option.description);
      else command.option(name, option.description, name === 'lane' ? offerLanes : () => undefined);
    }
  }
}

const nameOf = ({ long }: Option): string => (long ?? '').replace(/^--/, '');

/** The lanes that the last app on the directory has recorded, else those that every app has. */
async function lanesOf(words: readonly string[]): Promise<readonly string[]> {
  const at = words.indexOf('--directory');
  try {
    const record = parseAppRecord(await readStoredRecord(await findDirectory(at < 0 ? undefined : words[at + 1])));
    if (record !== undefined) return record.policies.map(({ lane }) => lane);
  } catch {
    // no directory yet
  }
  return BUILT_IN_LANES.map(({ lane }) => lane);
}
