import type { Clock } from '../clock/clock.js';
import type { LaneMetrics } from '../events/lane-metrics.js';
import type { MetricsReport } from '../metrics/lane-cache-metrics.js';
import type { Operations } from '../operations/operations.js';

/** What is kept of each lane: how much each counter grew within each interval. */
export const SERIES = ['l1', 'l2', 'l3', 'l4', 'misses', 'bypassed', 'computed', 'computeMs', 'evictions'] as const;
export type SeriesName = (typeof SERIES)[number];

/** The last hour of an app in numbers. */
export interface TrendReport {
  readonly everyMs: number;
  /** Epoch ms at which each interval ended, oldest first. */
  readonly times: readonly number[];
  readonly lanes: Readonly<Record<string, Readonly<Record<SeriesName, readonly number[]>>>>;
}

const EVERY_MS = 5_000;
const KEPT = 720;

/** Keeps the numbers of the last hour in memory, in rings of a fixed size. It starts with `start`, and counts from there. */
export class Trend {
  private readonly times: number[] = [];
  private readonly rings = new Map<string, LaneRing>();
  private cancel: (() => void) | undefined;
  private isStopped = false;

  constructor(
    private readonly operations: Pick<Operations, 'metrics'>,
    private readonly clock: Clock,
  ) {}

  start(): void {
    if (this.isStopped || this.cancel !== undefined) return;
    this.plan();
  }

  /** Nest calls it when the app has booted. */
  onApplicationBootstrap(): void {
    this.start();
  }

  onModuleDestroy(): void {
    this.isStopped = true;
    this.cancel?.();
  }

  report(): TrendReport {
    const lanes = [...this.rings].map(([lane, ring]) => [lane, ring.series()] as const);
    return { everyMs: EVERY_MS, times: [...this.times], lanes: Object.fromEntries(lanes) };
  }

  private plan(): void {
    void this.sample();
    this.cancel = this.clock.schedule(EVERY_MS, () => this.plan());
  }

  /** Never rejects: the next sample counts what this one missed. */
  private async sample(): Promise<void> {
    try {
      this.add(await this.operations.metrics());
    } catch {
      // see above
    }
  }

  private add({ lanes }: MetricsReport): void {
    // The first sample has nothing to be compared with.
    const isFirst = this.rings.size === 0;
    for (const [lane, metrics] of Object.entries(lanes)) {
      const ring = this.rings.get(lane) ?? new LaneRing();
      this.rings.set(lane, ring);
      ring.add(totalsOf(metrics), isFirst ? 'begin' : 'grow');
    }
    if (isFirst) return;
    this.times.push(this.clock.now());
    if (this.times.length > KEPT) this.times.shift();
  }
}

/** The differences between successive totals of one lane. */
class LaneRing {
  private readonly values = new Float64Array(KEPT * SERIES.length);
  private count = 0;
  private totals: readonly number[] = [];

  add(totals: readonly number[], how: 'begin' | 'grow'): void {
    if (how === 'grow') {
      const row = (this.count % KEPT) * SERIES.length;
      for (let index = 0; index < totals.length; index++) {
        this.values[row + index] = Math.max(0, (totals[index] ?? 0) - (this.totals[index] ?? 0));
      }
      this.count++;
    }
    this.totals = totals;
  }

  series(): Readonly<Record<SeriesName, readonly number[]>> {
    const length = Math.min(this.count, KEPT);
    const of = (index: number): readonly number[] =>
      Array.from({ length }, (_, n) => {
        const row = (this.count - length + n) % KEPT;
        return Math.round((this.values[row * SERIES.length + index] ?? 0) * 1_000) / 1_000;
      });
    return {
      l1: of(0),
      l2: of(1),
      l3: of(2),
      l4: of(3),
      misses: of(4),
      bypassed: of(5),
      computed: of(6),
      computeMs: of(7),
      evictions: of(8),
    };
  }
}

/** In the order of SERIES. */
function totalsOf({ l1, l2, l3, l4, misses, bypassed, computed, avgComputeMs }: LaneMetrics): readonly number[] {
  const past = Object.values(bypassed).reduce((sum, count) => sum + count, 0);
  const evictions = l1.evictions + l2.evictions + l3.evictions;
  return [l1.hits, l2.hits, l3.hits, l4.hits, misses, past, computed, computed * avgComputeMs, evictions];
}
