import { type Clock, type KeepAlive, SharedDeadline, withDeadline } from '../clock/clock.js';
import { BackOff } from '../clock/retry.js';
import type { RecordReader } from '../entries/record.js';
import type { TierName } from '../entries/tier-name.js';
import type { EventSink } from '../events/event-map.js';
import type { LaneRecorder } from '../events/recorder.js';
import type { ResolvedLane } from '../lanes/policy.js';
import { StorageFault } from '../storage/environment.js';
import {
  removeKeysFrom,
  type Tier,
  type TierLookup,
  type TierRecord,
  type TierRow,
  type TierUsage,
} from '../tiers/tier.js';

export interface GuardedTierOptions {
  readonly clock: Clock;
  /** A caller waits for the tier until its deadline, whether the tier keeps the process alive or not. */
  readonly hold: KeepAlive;
  readonly events: EventSink;
  readonly recorder: (lane: string) => LaneRecorder;
  /** How long a tier may take to answer a read. After that it counts as failed. */
  readonly readDeadlineMs: number;
  /** How long it may take to confirm a removal. */
  readonly removeDeadlineMs: number;
}

const FAILED: TierLookup = Object.freeze({ outcome: 'off', reason: 'breaker' });
const HELD: TierLookup = Object.freeze({ outcome: 'off', reason: 'disconnected' });
const COOLDOWN = { firstMs: 1_000, longestMs: 60_000 };
/** Emptying or scanning a large lane takes long. This deadline only ends what hangs. */
const SCAN_DEADLINE_MS = 60_000;

/**
 * Guards the callers against a tier below memory: no fault of the tier reaches them.
 *
 * A tier that threw, rejected or did not answer in time is not asked again for a while, twice as long each time. A tier
 * that may have missed a removal serves nothing that is older than the removal.
 */
export class GuardedTier {
  private voidBefore = 0;
  private isHeld = false;
  private hasFailed = false;
  private readonly cooldown = new BackOff(COOLDOWN);
  private cooldownUntil = 0;

  readonly name: TierName;
  private readonly reads: SharedDeadline;

  constructor(
    private readonly tier: Tier,
    private readonly options: GuardedTierOptions,
  ) {
    this.name = tier.name;
    this.reads = new SharedDeadline(options.clock, options.readDeadlineMs, `tier ${tier.name}`);
  }

  /** Whether an entry of this birth may be served from this tier. */
  trusts(birth: number): boolean {
    return birth >= this.voidBefore;
  }

  /** From now on this tier serves nothing whose birth is before `position`. */
  invalidateBefore(position: number): void {
    this.voidBefore = Math.max(this.voidBefore, position);
  }

  /** Stops reads until `release`: the tier does not know yet what was invalidated while it was away. */
  hold(): void {
    this.isHeld = true;
  }

  release(): void {
    this.isHeld = false;
  }

  /** `peek` does not count as use. With a reader, the caller wants the value, and its bytes only by exception. */
  read(
    lane: string,
    key: string,
    how: 'read' | 'peek' = 'read',
    reader?: RecordReader,
    patienceMs?: number,
  ): TierLookup | Promise<TierLookup> {
    if (this.isHeld) return HELD;
    if (this.hasFailed && this.isCoolingDown()) return FAILED;
    const { tier } = this;
    try {
      const lookup =
        (how === 'peek' ? tier.peek?.(lane, key) : reader && tier.readValue?.(lane, key, reader, patienceMs)) ??
        tier.read(lane, key, patienceMs);
      if (!(lookup instanceof Promise)) return this.hasFailed ? this.worked(lookup) : lookup;
      return this.reads.during(lookup).then(
        (answer) => this.worked(answer),
        (error: unknown) => this.failed(lane, error),
      );
    } catch (error) {
      return this.failed(lane, error);
    }
  }

  addLane(lane: string, rules: ResolvedLane): void {
    this.tier.addLane?.(lane, rules);
  }

  usage(lane: string): TierUsage {
    return this.tier.usage(lane);
  }

  keys(lane: string): AsyncIterable<string> {
    return this.tier.keys(lane);
  }

  /** Undefined where the tier cannot be read in parts. */
  rows(lane: string, before: number, limit: number): readonly TierRow[] | undefined {
    try {
      return this.tier.rows?.(lane, before, limit);
    } catch (error) {
      this.failed(lane, error);
      return undefined;
    }
  }

  /** Why the tier had no room for the record. Undefined if it took it, or may go without it. */
  write(lane: string, record: TierRecord): 'backlog' | 'disk-full' | undefined {
    try {
      if (this.hasFailed && this.isCoolingDown()) {
        this.tier.supersede?.(lane, record.key);
        return undefined;
      }
      if (this.tier.offer !== undefined) {
        const answer = this.tier.offer(lane, record);
        return answer === 'backlog' || answer === 'disk-full' ? answer : undefined;
      }
      const written = this.tier.write(lane, record);
      if (written instanceof Promise) written.catch((error: unknown) => this.failed(lane, error));
    } catch (error) {
      this.failed(lane, error);
    }
    return undefined;
  }

  /** Undefined while a bulk write of the lane may go on. Else resolves when it is worth asking again. Never rejects. */
  whenRoom(lane: string): Promise<void> | undefined {
    if (this.isCoolingDown()) return undefined;
    const room = this.tier.whenRoom?.();
    return room && this.attempt(lane, () => room).catch(() => undefined);
  }

  /** Resolves to whether there was something; rejects when the removal is not known to be in place. */
  remove(lane: string, key: string): Promise<boolean> {
    return this.attempt(lane, () => this.tier.remove(lane, key));
  }

  /** As `remove`, of several keys at once. */
  removeKeys(lane: string, keys: readonly string[]): Promise<number> {
    return this.attempt(lane, () => removeKeysFrom(this.tier, lane, keys));
  }

  removeMatching(lane: string, matches: (key: string, tags: readonly string[]) => boolean): Promise<number> {
    return this.attempt(lane, () => this.tier.removeMatching(lane, matches), SCAN_DEADLINE_MS);
  }

  clear(lane: string): Promise<void> {
    return this.attempt(lane, () => this.tier.clear(lane), SCAN_DEADLINE_MS);
  }

  private async attempt<T>(
    lane: string,
    act: () => T | Promise<T>,
    deadlineMs = this.options.removeDeadlineMs,
  ): Promise<T> {
    try {
      const done = act();
      return done instanceof Promise ? await this.guard(done, deadlineMs) : done;
    } catch (error) {
      this.failed(lane, error);
      throw error;
    }
  }

  private guard<T>(work: Promise<T>, deadlineMs: number): Promise<T> {
    const { clock, hold } = this.options;
    return hold.during(withDeadline(clock, work, deadlineMs, `tier ${this.name}`));
  }

  private isCoolingDown(): boolean {
    return this.options.clock.monotonic() < this.cooldownUntil;
  }

  private worked(answer: TierLookup): TierLookup {
    if (this.hasFailed && answer.outcome !== 'off') {
      this.hasFailed = false;
      this.cooldown.reset();
      this.options.events.emit('tier', { tier: this.name, state: 'on', detail: `tier ${this.name} answers again` });
    }
    return answer;
  }

  private failed(lane: string, error: unknown): TierLookup {
    this.options.recorder(lane).tierError(this.name);
    // A tier on disk reports its own faults, and knows when it is on again.
    if (error instanceof StorageFault) return FAILED;
    if (!this.hasFailed) {
      const detail = `tier ${this.name} failed and is left alone for a while: ${messageOf(error)}`;
      this.options.events.emit('tier', { tier: this.name, state: 'off', reason: 'breaker', detail, error });
    }
    this.hasFailed = true;
    this.cooldownUntil = this.options.clock.monotonic() + this.cooldown.next();
    return FAILED;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
