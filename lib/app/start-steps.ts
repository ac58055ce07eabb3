import type { Clock } from '../clock/clock.js';

const SLOW_AFTER_MS = 1_000;
const STILL_EVERY_MS = 5_000;

/** What the start of an app waits for now. */
export class StartSteps {
  private readonly open = new Set<string>();

  /** Settles as `step` does. Until then the start waits for `what`. */
  async during<T>(what: string, step: Promise<T>): Promise<T> {
    this.open.add(what);
    try {
      return await step;
    } finally {
      this.open.delete(what);
    }
  }

  /** Such as ` and waits for l3, the checkpoints`, or nothing. */
  get text(): string {
    return this.open.size === 0 ? '' : ` and waits for ${[...this.open].join(', ')}`;
  }
}

/** A start, as `whileStarting` needs it. */
interface Start {
  readonly clock: Clock;
  readonly note: (text: string) => void;
  readonly purpose: 'serve' | 'look';
  readonly steps: StartSteps;
}

/** Awaits a step of the start. If it takes more than a second, the log says what the start waits for, again every 5 s. */
export async function whileStarting<T>(
  { clock, note, purpose, steps }: Start,
  what: string,
  step: Promise<T>,
): Promise<T> {
  if (purpose === 'look') return step;
  const startedAt = clock.monotonic();
  const report = (): void => {
    note(`Still starting, after ${Math.round((clock.monotonic() - startedAt) / 1_000)} s: ${what}${steps.text}.`);
    cancel = clock.schedule(STILL_EVERY_MS, report);
  };
  let cancel = clock.schedule(SLOW_AFTER_MS, report);
  try {
    return await step;
  } finally {
    cancel();
  }
}
