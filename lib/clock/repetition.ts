import type { Clock } from './clock.js';

/**
 * Runs `step` every `ms`, counted from the end of the step before, until it resolves to `done`. A step that fails is tried
 * again.
 */
export class Repetition {
  private running: Promise<void> | undefined;
  private cancel = (): void => undefined;
  private stopped = false;
  private isWanted = false;

  constructor(
    private readonly clock: Clock,
    private readonly ms: number,
    private readonly step: () => Promise<'done' | 'again'>,
  ) {
    this.next();
  }

  /** Runs the next step now, or right after the one that runs. */
  soon(): void {
    if (this.stopped) return;
    if (this.running !== undefined) this.isWanted = true;
    else this.start();
  }

  /** Resolves when no step runs any more. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.cancel();
    await this.running;
  }

  private next(): void {
    this.cancel = this.clock.schedule(this.ms, () => this.start());
  }

  private start(): void {
    this.cancel();
    this.running = this.run().finally(() => (this.running = undefined));
  }

  private async run(): Promise<void> {
    do {
      this.isWanted = false;
      const outcome = await this.step().catch(() => 'again');
      if (outcome === 'done') this.stopped = true;
    } while (this.isWanted && !this.stopped);
    if (!this.stopped) this.next();
  }
}
