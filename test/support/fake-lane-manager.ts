import type { FlightContext } from '../../lib/cache/in-flight/flight.js';
import type { LaneManager } from '../../lib/cache/lane-manager.js';
import type { Compute, EntryOptions } from '../../lib/cache/call-options.js';
import { UnknownLaneError } from '../../lib/errors/cache.errors.js';
import type { Fault, RefusalReason } from '../../lib/events/reasons.js';

/** One stored value, with the options of its call. */
export interface FakeEntry {
  readonly value: unknown;
  readonly options: EntryOptions | undefined;
  readonly tags: readonly string[];
  readonly ttl: unknown;
}

/** One call that a decorator made, as `name argument…`. */
type Call = string;

/** A lane in a Map, that remembers its calls: for tests of what calls it. */
export class FakeLaneManager {
  readonly entries = new Map<string, FakeEntry>();
  readonly calls: Call[] = [];
  readonly warnings: string[] = [];
  readonly classNameOf = (): undefined => undefined;
  readonly refused: RefusalReason[] = [];
  readonly faults: Fault[] = [];
  snapshots: unknown = undefined;
  closed = 0;
  private readonly lanes: Map<string, FakeLaneManager>;
  private readonly warned: Set<string>;

  constructor(
    readonly lane = 'standard',
    private readonly known: readonly string[] = ['docs', 'standard', 'heavy'],
    family?: FakeLaneManager,
  ) {
    this.lanes = family?.lanes ?? new Map();
    this.warned = family?.warned ?? new Set();
    if (family !== undefined) this.warnings = family.warnings;
    this.lanes.set(lane, this);
  }

  /** As the code under test sees it. */
  get asManager(): LaneManager {
    return Object(this);
  }

  forLane(lane: string): FakeLaneManager {
    if (!this.known.includes(lane)) throw new UnknownLaneError(lane, this.known);
    return this.lanes.get(lane) ?? new FakeLaneManager(lane, this.known, this);
  }

  fault(fault: Fault): void {
    this.faults.push(fault);
  }

  async getOrSet(key: string, compute: Compute<unknown>, options?: EntryOptions): Promise<unknown> {
    this.calls.push(`getOrSet ${key}`);
    const entry = this.entries.get(key);
    return entry === undefined ? this.computed(key, compute, options) : entry.value;
  }

  async putComputed(key: string, compute: Compute<unknown>, options?: EntryOptions): Promise<unknown> {
    this.calls.push(`putComputed ${key}`);
    return this.computed(key, compute, options);
  }

  invalidate(key: string): Promise<boolean> {
    this.calls.push(`invalidate ${key}`);
    return Promise.resolve(this.entries.delete(key));
  }

  invalidateByTag(...tags: readonly string[]): Promise<void> {
    this.calls.push(`invalidateByTag ${tags.join(',')}`);
    return Promise.resolve();
  }

  invalidateByPattern(pattern: string): Promise<number> {
    this.calls.push(`invalidateByPattern ${pattern}`);
    return Promise.resolve(0);
  }

  clearAll(): Promise<void> {
    this.calls.push('clearAll');
    this.entries.clear();
    return Promise.resolve();
  }

  bypass(reason: string, key: string): void {
    this.calls.push(`bypass ${reason} ${key}`);
  }

  warnOnce(subject: string, message: string | (() => string)): void {
    if (this.warned.has(subject)) return;
    this.warned.add(subject);
    this.warnings.push(typeof message === 'string' ? message : message());
  }

  close(): Promise<void> {
    this.closed++;
    return Promise.resolve();
  }

  private async computed(key: string, compute: Compute<unknown>, options: EntryOptions | undefined): Promise<unknown> {
    let tags = options?.tags ?? [];
    let ttl: unknown = options?.ttl;
    let refused: RefusalReason | undefined;
    const context: Partial<FlightContext> = {
      setTags: (more) => (tags = [...tags, ...more]),
      setTtl: (given) => (ttl = given),
      refuse: (reason) => (refused = reason),
      skipCache: () => (refused = 'skip-cache'),
    };
    const value = await compute(Object(context));
    if (refused === undefined) this.entries.set(key, { value, options, tags, ttl });
    else this.refused.push(refused);
    return value;
  }
}
