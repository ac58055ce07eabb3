import type { Clock } from '../clock/clock.js';
import { withDeadline } from '../clock/timers.js';
import type { ProcessHold } from '../clock/keep-alive.js';
import { CHECKPOINT_SCRIPTS } from './checkpoint-scripts.js';
import type { RedisArgument, RedisPort } from './redis-port.js';
import type { Script } from './script.js';

/** A state may be large, and is not worth losing to impatience. */
const ANSWERED_WITHIN_MS = 10_000;
const OPEN_WITHIN_MS = 3_000;

/** The connection of the shared checkpoints: made when it is needed, and anew when it was lost. Commands keep their order. */
export class CheckpointLine {
  private opening: Promise<RedisPort> | undefined;
  private readonly underWay = new Set<Promise<unknown>>();

  constructor(
    private readonly template: RedisPort,
    private readonly root: string,
    private readonly clock: Clock,
    private readonly hold: ProcessHold,
  ) {}

  async run(script: Script, args: readonly RedisArgument[]): Promise<unknown> {
    const answer = this.hold.during(this.send(script, args));
    this.underWay.add(answer);
    try {
      return await answer;
    } finally {
      this.underWay.delete(answer);
    }
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    await Promise.allSettled(this.underWay);
    const { opening } = this;
    this.opening = undefined;
    await (await opening?.catch(() => undefined))?.close();
  }

  private async send(script: Script, args: readonly RedisArgument[]): Promise<unknown> {
    this.opening ??= this.open();
    const port = await this.opening;
    return script.run(port, [this.root], args, ANSWERED_WITHIN_MS);
  }

  private async open(): Promise<RedisPort> {
    try {
      const port = await withDeadline(this.clock, this.template.duplicate(), OPEN_WITHIN_MS, 'connecting to Redis');
      port.onStateChange((connected) => {
        if (connected) return;
        this.opening = undefined;
        void port.close();
      });
      // known beforehand, so that no command is sent twice and overtaken
      for (const script of CHECKPOINT_SCRIPTS) await script.load(port, ANSWERED_WITHIN_MS);
      return port;
    } catch (error) {
      this.opening = undefined;
      throw error;
    }
  }
}
