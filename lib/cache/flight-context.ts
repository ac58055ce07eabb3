import { checkTags } from '../entries/tags.js';
import type { RefusalReason } from '../events/reasons.js';
import { toMilliseconds, type Duration } from '../lanes/duration.js';
import type { Flight } from './flight.js';
import type { LaneSpace } from './lane-context.js';
import type { ComputeContext, StaleValue } from './call-options.js';
import { staleValueOf } from './tier-lookup.js';

/** What a running computation is told, and what it said about its result. */
export class FlightContext implements ComputeContext {
  readonly key: string;
  readonly lane: string;
  readonly stale?: StaleValue<unknown>;
  private said: readonly string[] | undefined;
  private saidTtlMs: number | undefined;
  private refused: RefusalReason | undefined;

  constructor(
    space: LaneSpace,
    private readonly flight: Flight,
  ) {
    this.key = flight.key;
    this.lane = space.lane;
    if (flight.stale !== undefined) this.stale = staleValueOf(flight.stale, space.parts.life.now());
  }

  get signal(): AbortSignal {
    return this.flight.signal;
  }

  setTags(tags: readonly string[]): void {
    this.said = checkTags([...this.tags, ...tags], this.lane);
  }

  setTtl(ttl: Duration): void {
    this.saidTtlMs = toMilliseconds(ttl, { lane: this.lane, field: 'ttl' });
  }

  skipCache(): void {
    this.refuse('skip-cache');
  }

  /** The result is returned and not stored, for this reason. */
  refuse(reason: RefusalReason): void {
    this.refused ??= reason;
  }

  get tags(): readonly string[] {
    return this.said ?? this.flight.terms.tags;
  }

  get ttlMs(): number {
    return this.saidTtlMs ?? this.flight.terms.ttlMs;
  }

  get refusal(): RefusalReason | undefined {
    return this.refused;
  }
}
