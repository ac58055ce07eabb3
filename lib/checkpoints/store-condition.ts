import type { Clock } from '../clock/clock.js';
import type { EventSink } from '../events/event-map.js';
import type { TierOffReason } from '../events/reasons.js';
import { StorageFault } from '../storage/environment.js';
import type { CheckpointStoreState } from './checkpoint-store.js';

const REASONS: Partial<Record<string, TierOffReason>> = {
  'disk-full': 'disk-full',
  'read-only': 'read-only',
  closed: 'closed',
};

/** Room that was not asked for again by so large a write is taken to be there after this long. */
const FORGET_REFUSAL_MS = 60_000;

/** Whether checkpoints can be written, and why not. Says each change once. */
export class StoreCondition {
  state: CheckpointStoreState = { state: 'on' };
  /** The most that a full disk refused since it was last on, and when it refused anything. */
  private refusedBytes = 0;
  private refusedAt = 0;

  constructor(
    private readonly clock: Clock,
    private readonly events: EventSink,
  ) {}

  get isClosed(): boolean {
    return this.state.state === 'off' && this.state.reason === 'closed';
  }

  close(): void {
    this.state = { state: 'off', reason: 'closed', detail: 'the app was closed' };
  }

  /** `bytes`: what was to be written. */
  failed(fault: unknown, bytes: number): void {
    if (this.isClosed) return;
    const reason = (fault instanceof StorageFault ? REASONS[fault.kind] : undefined) ?? 'breaker';
    const detail = fault instanceof Error ? fault.message : 'the commit failed';
    if (reason === 'disk-full') {
      this.refusedBytes = Math.max(this.refusedBytes, bytes);
      this.refusedAt = this.clock.monotonic();
    }
    const isNews = this.state.state === 'on';
    this.state = { state: 'off', reason, detail };
    if (isNews) this.events.emit('tier', { tier: 'checkpoints', state: 'off', reason, detail, error: fault });
  }

  /** A disk that is nearly full goes on taking what is small, and removals: they are no sign of room. */
  wrote(bytes: number): void {
    if (this.state.state === 'on' || this.isClosed || !this.showsRoom(bytes)) return;
    this.refusedBytes = 0;
    this.state = { state: 'on' };
    const detail = 'a checkpoint could be written again';
    this.events.emit('tier', { tier: 'checkpoints', state: 'on', detail });
  }

  private showsRoom(bytes: number): boolean {
    if (this.state.state === 'off' && this.state.reason !== 'disk-full') return true;
    if (bytes > 0 && bytes >= this.refusedBytes) return true;
    return this.clock.monotonic() - this.refusedAt >= FORGET_REFUSAL_MS;
  }
}
