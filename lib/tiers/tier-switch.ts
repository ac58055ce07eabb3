import type { Clock } from '../clock/clock.js';
import { Retry } from '../clock/retry.js';
import type { TierName } from '../entries/tier-name.js';
import type { EventSink } from '../events/event-map.js';
import type { TierOffReason } from '../events/reasons.js';
import type { TierState } from './tier.js';

const RETRIES = { firstMs: 1_000, longestMs: 60_000 };

export interface TierSwitchOptions {
  readonly tier: TierName;
  readonly clock: Clock;
  readonly events: EventSink;
  /** Tries to bring the tier back. Rejects when it still fails. */
  readonly repair: () => Promise<void>;
}

/** Whether a tier serves, why not, and when it is tried again. Says each change of state once. */
export class TierSwitch {
  state: TierState = { state: 'on' };
  /** The state that was reported last. */
  private reported: 'on' | TierOffReason = 'on';
  private onSince = 0;
  private readonly retry: Retry;

  constructor(private readonly options: TierSwitchOptions) {
    this.retry = new Retry(options.clock, RETRIES);
  }

  /** Off from the start. `state` shows it, and no event is emitted. */
  startOff(reason: TierOffReason): void {
    this.state = { state: 'off', reason };
  }

  /** Off until `turnOn`. The caller has reported it already; the return is reported. */
  hold(reason: TierOffReason): void {
    this.startOff(reason);
    this.reported = reason;
  }

  /** The tier failed: it is off until a repair succeeds. */
  trip(reason: TierOffReason, detail: string, error?: unknown): void {
    if (this.state.reason === 'closed') return;
    if (this.hasHeld()) this.retry.reset();
    this.turnOff(reason, detail, error);
    this.retryLater();
  }

  /** The tier is off until `turnOn`. */
  turnOff(reason: TierOffReason, detail: string, error?: unknown): void {
    this.retry.cancel();
    this.state = { state: 'off', reason };
    if (this.reported === reason) return;
    this.reported = reason;
    const { tier, events } = this.options;
    events.emit('tier', { tier, state: 'off', reason, detail, ...(error !== undefined && { error }) });
  }

  /** As `turnOff`, for a moment that is not worth telling, unless it lasts. */
  pause(reason: TierOffReason): void {
    this.retry.cancel();
    if (this.state.reason !== 'closed') this.state = { state: 'off', reason };
  }

  turnOn(): void {
    if (this.state.reason === 'closed') return;
    this.retry.cancel();
    if (this.state.state === 'on') return;
    this.onSince = this.options.clock.monotonic();
    const { reason } = this.state;
    this.state = { state: 'on' };
    if (this.reported === 'on') return;
    this.reported = 'on';
    const detail = reason === 'in-use' ? 'this process owns the directory now' : 'it works again';
    this.options.events.emit('tier', { tier: this.options.tier, state: 'on', detail });
  }

  /** Whether it was on for as long as it had been waited for: a disk that takes small writes and no large ones fails sooner. */
  private hasHeld(): boolean {
    const onForMs = this.options.clock.monotonic() - this.onSince;
    return this.state.state === 'on' && onForMs >= this.retry.delayMs / 2;
  }

  private retryLater(): void {
    this.retry.schedule(() => {
      this.options.repair().catch(() => {
        if (!this.retry.isScheduled && this.state.state === 'off' && this.state.reason !== 'closed') this.retryLater();
      });
    });
  }
}
