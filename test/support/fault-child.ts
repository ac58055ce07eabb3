import { readFile } from 'node:fs/promises';
import type { LaneCacheOptions } from '../../lib/index.js';
import type { Child, Workshop } from './child-process.js';

/** What an app has counted. */
export interface Seen {
  readonly calls: number;
  /** Values of another key, or computed before an invalidation that had resolved. */
  readonly wrong: number;
  /** Calls that said that they cannot keep their promise. */
  readonly refused: number;
  readonly unhandled: number;
  readonly late: number;
}

/** What must be in place whatever happens: keys with the round of their last invalidation, and checkpoints with their states. */
export interface Acknowledged {
  readonly invalidated: Map<string, number>;
  readonly saved: Map<string, number>;
}

export const nothingYet = (): Acknowledged => ({ invalidated: new Map(), saved: new Map() });

const DEFAULTS = {
  lanes: { standard: { l1: { maxEntries: 50 } } },
  storage: { minFreeBytes: 0, sweepEvery: false },
} as const;

/** A child process that uses a cache by its public face, see `fault-app.js`. */
export class FaultChild {
  private constructor(
    readonly child: Child,
    private readonly acknowledged: Acknowledged,
  ) {}

  static async start(
    workshop: Workshop,
    options: LaneCacheOptions,
    acknowledged = nothingYet(),
    wrapper: readonly string[] = [],
  ): Promise<FaultChild> {
    const source = await readFile('test/support/fault-app.js', 'utf8');
    const child = await workshop.run(source, [JSON.stringify({ ...DEFAULTS, ...options })], wrapper);
    await child.line();
    return new FaultChild(child, acknowledged);
  }

  /** The answer to a command; what is acknowledged in the meantime is noted. Throws when the child ends or refuses. */
  async ask(...command: readonly unknown[]): Promise<any> {
    this.child.say(JSON.stringify(command));
    for (;;) {
      const line: unknown = JSON.parse(await this.child.line());
      if (Array.isArray(line)) this.note(line);
      else if (typeof line === 'object' && line !== null && 'answer' in line) return line.answer;
      else throw new Error(`${command.join(' ')}: ${JSON.stringify(line)}`);
    }
  }

  /** Notes `count` acknowledgements of a load under way. */
  async hear(count: number): Promise<void> {
    for (let heard = 0; heard < count;) {
      const line: unknown = JSON.parse(await this.child.line());
      if (!Array.isArray(line)) continue;
      this.note(line);
      heard++;
    }
  }

  /** Ends the process; what it had said until then is noted. Returns how it ended. */
  async end(signal?: NodeJS.Signals): Promise<number | string> {
    const { status, lines } = await this.child.end(signal);
    for (const text of lines) {
      const line: unknown = whole(text);
      if (Array.isArray(line)) this.note(line);
    }
    return status;
  }

  private note([what, name, number, value]: readonly unknown[]): void {
    const { invalidated, saved } = this.acknowledged;
    if (what === 'invalidated')
      invalidated.set(String(name), Math.max(Number(number), invalidated.get(String(name)) ?? 0));
    if (what === 'saved') saved.set(`${String(name)} ${String(number)}`, Number(value));
  }
}

/** The last line of a process that was killed may be half a line. */
const whole = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** How many acknowledged checkpoints are not there as they were saved. */
export const lostOf = async (app: FaultChild, { saved }: Acknowledged): Promise<number> => {
  let lost = 0;
  for (const [name, n] of saved) {
    const [id, version] = name.split(' ');
    if ((await app.ask('restore', id, Number(version))) !== n) lost++;
  }
  return lost;
};
