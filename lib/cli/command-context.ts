import type { Clock } from '../clock/clock.js';
import { UnknownLaneError } from '../errors/cache.errors.js';
import type { AppDescription } from '../ipc/operations.js';
import type { AppAccess } from './app-access.js';
import { CommandFailed, EXIT } from './exit.js';
import { reachApp } from './reach-app.js';
import type { Terminal } from './terminal.js';

/** What was asked for beside the command itself. */
export interface CommonOptions {
  readonly lane?: string;
  readonly directory?: string;
  /** Given or refused; undefined leaves it to where the results go. */
  readonly json?: boolean;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly verbose?: boolean;
}

/** What every command works with. */
export class CommandContext {
  constructor(
    readonly options: CommonOptions,
    readonly timeoutMs: number,
    readonly terminal: Terminal,
    readonly clock: Clock,
    /** How the command was called: `--action` is for scripts that cannot be asked. */
    private readonly form: 'command' | 'action' = 'command',
  ) {}

  /** Reaches the app, prints which, checks the lane, runs the command, and closes the connection. */
  async with<T>(use: (access: AppAccess, app: AppDescription) => Promise<T>): Promise<T> {
    const { timeoutMs, clock, terminal, options } = this;
    const access = await reachApp({ directory: options.directory, timeoutMs, clock });
    try {
      const app = await access.operations.describe();
      if (options.verbose === true) terminal.note(whom(access, app));
      const lanes = app.policies.map(({ lane }) => lane);
      if (options.lane !== undefined && !lanes.includes(options.lane)) throw new UnknownLaneError(options.lane, lanes);
      return await use(access, app);
    } finally {
      await access.close();
    }
  }

  /** JSON where it was asked for and in a pipe; else the text. */
  show(result: unknown, text: () => string): void {
    this.terminal.out(
      this.isJson ? JSON.stringify(result, undefined, this.terminal.isWatched ? 2 : undefined) : text(),
    );
  }

  get isJson(): boolean {
    return this.options.json ?? !this.terminal.isWatched;
  }

  /** Before something is removed. Rejects with CommandFailed unless it is wanted. */
  async confirm(what: string): Promise<void> {
    if (this.options.yes === true || this.form === 'action') return;
    if (!this.terminal.canAsk) {
      throw new CommandFailed(
        EXIT.notConfirmed,
        `${what} Nothing was done: confirm with --yes, or see what it would do with --dry-run.`,
      );
    }
    if (!(await this.terminal.ask(what))) throw new CommandFailed(EXIT.notConfirmed, 'Nothing was done.');
  }
}

function whom({ kind, directory, record }: AppAccess, { pid }: AppDescription): string {
  if (kind === 'live') return `Process ${pid}, which owns '${directory}', answers.`;
  return record === undefined
    ? `No app runs on '${directory}', and none has left word of its lanes: the built-in ones are shown.`
    : `No app runs on '${directory}'. Process ${record.pid} left word of itself at ${record.savedAt}.`;
}
