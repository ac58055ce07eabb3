import { matches } from '../harness/model.js';
import { History, type Invalidation, type Made as AnyMade } from '../harness/oracle.js';

/** A process of the model, as far as the oracle must tell them apart. */
export interface Process {
  /** When it came to own what survives; Infinity while it does not. */
  ownedFrom: number;
}

/** Something that was computed, or set. */
export interface Made extends AnyMade {
  readonly by: Process;
  /** All it came to carry. */
  tags: readonly string[];
  /** When its life began, on a clock that no one sets, and how long it lasts. */
  storedMs: number;
  /** When its computation ended. */
  endedAt: number;
  ttlMs: number;
  graceMs: number;
}

/** One caller. */
export interface Call {
  readonly by: Process;
  readonly lane: string;
  readonly key: string;
  readonly calledAt: number;
  readonly calledMs: number;
  /** When everything last stood still before it: what ended since may not be known to have ended. */
  readonly stillAt: number;
  /** It wants what is computed for it, or for others who want the same. */
  readonly isForced: boolean;
  /** Whether a value past its ttl may have been served to it, as the cache reported to its listeners. */
  readonly mayBeStale: () => boolean;
}

/** What the promises say. */
export class Oracle extends History<Made, Process> {
  /** The youngest value that a forced call got, by process and place. */
  private readonly forced = new Map<Process, Map<string, Made>>();

  /** `keepsOrder`: nothing is evicted or lost, so that nobody gets an older value than somebody forced before. */
  constructor(private readonly keepsOrder: boolean) {
    super();
  }

  /** A value that was ready as a part of something larger was ready with it. */
  ended(value: unknown, at: number, storedMs: number): void {
    const made = this.get(value);
    if (made !== undefined) Object.assign(made, { endedAt: at, storedMs });
  }

  /** What is wrong with a caller's getting this value; undefined if nothing is. */
  judge(call: Call, value: unknown): string | undefined {
    const made = this.get(value);
    if (made === undefined) return `P1 ${call.key}: got something that nobody made`;
    if (made.lane !== call.lane || made.key !== call.key) return `P1 ${call.key}: got the value of ${made.key}`;
    for (const invalidation of this.since(made)) {
      if (invalidation.resolvedAt >= call.calledAt || !reaches(invalidation, call, made)) continue;
      const what = `${call.key}@${call.calledAt} got what was started @${made.startedAt}, ${invalidation.kind} ${invalidation.subject} called @${invalidation.calledAt} resolved @${invalidation.resolvedAt}`;
      if (!invalidation.kind.startsWith('expire')) return `P1 ${what}`;
      if (!call.mayBeStale()) return `EXPIRED ${what}`;
    }
    return this.judgeForce(call, made) ?? this.judgeAge(call, made);
  }

  /** Whether something was invalidation about a key since. */
  hasNamed(key: Pick<Made, 'lane' | 'key' | 'tags' | 'startedAt'>): boolean {
    // A put computation names its key when it ends.
    const namedAt = ({ kind, calledAt, resolvedAt }: Invalidation<Process>): number =>
      kind === 'set' ? resolvedAt : calledAt;
    return this.invalidations.some(
      (invalidation) => namedAt(invalidation) > key.startedAt && matches(invalidation, key),
    );
  }

  /** Whether somebody forced a computation that was started later and has ended first: what is older is for nobody new. */
  hasNewer({ by, lane, key, startedAt }: Pick<Made, 'by' | 'lane' | 'key' | 'startedAt'>): boolean {
    return this.values.some((made) => {
      return made.by === by && made.lane === lane && made.key === key && made.startedAt > startedAt;
    });
  }

  private judgeForce(call: Call, made: Made): string | undefined {
    if (call.isForced && made.endedAt < call.stillAt && !call.mayBeStale())
      return `FORCE ${call.key}@${call.calledAt} got what was ready @${made.endedAt}`;
    if (!this.keepsOrder) return undefined;
    const places = this.forced.get(call.by) ?? new Map<string, Made>();
    this.forced.set(call.by, places);
    const place = `${call.lane} ${call.key}`;
    const youngest = places.get(place);
    if (youngest !== undefined && youngest.endedAt < call.stillAt && made.startedAt < youngest.startedAt)
      return `ORDER ${call.key}@${call.calledAt} got what was started @${made.startedAt} after @${youngest.startedAt} had been forced`;
    if (call.isForced && made.startedAt > (youngest?.startedAt ?? 0)) places.set(place, made);
    return undefined;
  }

  private judgeAge(call: Call, made: Made): string | undefined {
    const age = call.calledMs - made.storedMs;
    if (age < made.ttlMs) return undefined;
    if (!call.mayBeStale()) return `P5 ${call.key}@${call.calledAt} got a value ${age} ms old of ttl ${made.ttlMs}`;
    if (age < made.ttlMs + made.graceMs) return undefined;
    return `P5 ${call.key}@${call.calledAt} got a value ${age} ms old, past its grace`;
  }
}

/** What a process invalidates binds itself, and the later owners of what survived. */
function reaches(invalidation: Invalidation<Process>, call: Call, made: Made): boolean {
  if (invalidation.by === call.by) return true;
  return made.by !== call.by && invalidation.resolvedAt < call.by.ownedFrom;
}
