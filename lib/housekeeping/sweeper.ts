import type { Clock } from '../clock/clock.js';
import type { EventSink, SweepReport } from '../events/event-map.js';
import type { Tier } from '../tiers/tier.js';

export interface SweeperOptions {
  readonly clock: Clock;
  readonly events: EventSink;
  readonly lanes: Iterable<string>;
  readonly tiers: readonly Tier[];
  /** Removes what is left beside the tiers: sessions of dead processes, old quarantines. */
  readonly leftovers: () => Promise<Pick<SweepReport, 'orphanedSessions' | 'quarantinesRemoved'>>;
  /** Done with every sweep, such as storing the time. */
  readonly alongside: () => Promise<unknown>;
}

/** Throws away what is past its life or beyond its limits, in all tiers and lanes. Never overlaps itself. */
export class Sweeper {
  private running: Promise<SweepReport> | undefined;
  private cancel: (() => void) | undefined;
  private isStopped = false;

  constructor(private readonly options: SweeperOptions) {}

  /** One round; called while one is under way, the report of that one. Never rejects because of a tier. */
  sweep(): Promise<SweepReport> {
    this.running ??= this.round().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  /** Sweeps every `everyMs`, counted from the end of the round before, keeping no process alive. */
  start(everyMs: number): void {
    if (this.isStopped) return;
    this.cancel = this.options.clock.schedule(everyMs, () => {
      void this.sweep().finally(() => this.start(everyMs));
    });
  }

  /** Resolves when no round is under way any more. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.cancel?.();
    await this.running;
  }

  private async round(): Promise<SweepReport> {
    const { clock, events, tiers, leftovers, alongside } = this.options;
    const startedAt = clock.monotonic();
    const before = this.usedBytes();
    let expired = 0;
    let evicted = 0;
    for (const tier of tiers) {
      for (const lane of this.options.lanes) {
        if (this.isStopped) break;
        const gone = await tier.sweep(lane).catch(() => NOTHING);
        expired += gone.expired;
        evicted += gone.evicted;
      }
    }
    const folders = await leftovers().catch(() => NO_LEFTOVERS);
    await alongside().catch(() => undefined);
    const freedBytes = Math.max(0, before - this.usedBytes());
    const report = { expired, evicted, ...folders, freedBytes, durationMs: clock.monotonic() - startedAt };
    events.emit('sweep', report);
    return report;
  }

  private usedBytes(): number {
    let bytes = 0;
    for (const tier of this.options.tiers) for (const lane of this.options.lanes) bytes += tier.usage(lane).sizeBytes;
    return bytes;
  }
}

const NOTHING = Object.freeze({ expired: 0, evicted: 0 });
const NO_LEFTOVERS = Object.freeze({ orphanedSessions: 0, quarantinesRemoved: 0 });
