import type { Clock } from '../clock/clock.js';
import { UnknownLaneError } from '../errors/cache.errors.js';
import type { AppDescription } from '../operations/operations.js';
import type { AppAccess } from './app-access.js';
import { CommandFailed, EXIT } from './exit.js';
import { reachApp } from './reach-app.js';
import type { Terminal } from './terminal.js';

/** The options that every command takes. */
export interface CommonOptions {
  readonly lane?: string;
  readonly directory?: string;
  /** Undefined: JSON in a pipe, text on a terminal. */
  readonly json?: boolean;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly verbose?: boolean;
}

/** What every command needs: its options, the terminal, and access to the app. */
export class CommandContext {
  constructor(
    readonly options: CommonOptions,
    readonly timeoutMs: number,
    readonly terminal: Terminal,
    readonly clock: Clock,
    /** How the command was called. With `--action` there is no confirmation, since that form is for scripts. */
    private readonly form: 'command' | 'action' = 'command',
  ) {}

  /** Reaches the app, names it if `verbose`, checks the lane, runs `use`, and closes the connection. */
  async with<T>(use: (access: AppAccess, app: AppDescription) => Promise<T>): Promise<T> {
    const { timeoutMs, clock, terminal, options } = this;
    const access = await reachApp({ directory: options.directory, timeoutMs, clock });
    try {
      const app = await access.operations.describe();
      if (options.verbose === true) terminal.note(answererText(access, app));
      const lanes = app.policies.map(({ lane }) => lane);
      if (options.lane !== undefined && !lanes.includes(options.lane)) throw new UnknownLaneError(options.lane, lanes);
      return await use(access, app);
    } finally {
      await access.close();
    }
  }

  /** Writes the result as JSON or as text, see `isJson`. */
  show(result: unknown, text: () => string): void {
    this.terminal.out(
      this.isJson ? JSON.stringify(result, undefined, this.terminal.isInteractive ? 2 : undefined) : text(),
    );
  }

  get isJson(): boolean {
    return this.options.json ?? !this.terminal.isInteractive;
  }

  /** Asks before something is removed. Rejects with CommandFailed unless the answer is yes. */
  async confirm(what: string): Promise<void> {
    if (this.options.yes === true || this.form === 'action') return;
    if (!this.terminal.canAsk) {
      throw new CommandFailed(
        EXIT.notConfirmed,
        `${what} Nothing was done. Confirm with --yes, or see the effect with --dry-run.`,
      );
    }
    const answer = await this.terminal.ask(what);
    if (answer === 'yes') return;
    throw new CommandFailed(answer === 'no' ? EXIT.notConfirmed : EXIT.interrupted, 'Nothing was done.');
  }
}

function answererText({ kind, directory, record }: AppAccess, { pid }: AppDescription): string {
  if (kind === 'live') return `Process ${pid}, which owns '${directory}', answers.`;
  return record === undefined
    ? `No app runs on '${directory}', and none has recorded its lanes: the built-in ones are shown.`
    : `No app runs on '${directory}'. Process ${record.pid} ran on it last and recorded its state at ${record.savedAt}.`;
}
