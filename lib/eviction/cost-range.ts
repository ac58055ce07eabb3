/** Milliseconds. Entries that cost nothing could not be ordered. */
const LEAST_COST = 0.001;
const BUCKETS_PER_DOUBLING = 8;
const BUCKETS = 512;
/** The bucket of one millisecond. */
const MIDDLE = 160;
const LOWEST_SHARE = 0.01;
/** Costs of which the range is taken; then all counts are halved, so that it follows the load. */
const SAMPLE = 4_096;
/** The mean follows about so many costs. */
const AVERAGED = 1_000;
/** With fewer costs than this nothing is clamped to the top. */
const FEWEST = 100;

/** Milliseconds, 300 years: no clock has measured more. */
const MOST_COST = 1e13;

/** Whether it is a compute time. 0 is none, and a sum in which others are is worth nothing. */
export const isMeasured = (computeMs: number): boolean => computeMs > 0 && computeMs < MOST_COST;

/** How far beyond the percentiles a compute time may lie: without slack the rare dear entries that matter most lose worth. */
const SLACK = 4;

/**
 * The 1st and 99th percentile of a lane's compute times, with slack. One stall of the process must not crown a key, and a computation
 * that took no time at all must not be worth nothing.
 */
export class CostRange {
  private readonly counts = new Uint16Array(BUCKETS);
  private total = 0;
  private low = 0;
  /** Of the costs within the range: what an entry counts for whose cost nobody has measured. */
  mean = LEAST_COST;
  private seen = 0;
  private high = Infinity;

  /** Notes a compute time, in milliseconds, and returns it within the range. */
  clamp(cost: number): number {
    this.note(cost);
    const clamped = this.within(cost);
    this.seen = Math.min(AVERAGED, this.seen + 1);
    this.mean += (clamped - this.mean) / this.seen;
    return clamped;
  }

  /** How often each range of compute times was seen. */
  toNumbers(): readonly number[] {
    return [this.mean, ...this.counts];
  }

  /** What `toNumbers` has returned. */
  adopt([mean = LEAST_COST, ...counts]: readonly number[]): void {
    this.mean = mean;
    this.seen = AVERAGED;
    this.total = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) this.total += this.counts[bucket] = counts[bucket] ?? 0;
    if (this.total >= FEWEST) this.measure();
  }

  /** The compute time within the range, without noting it. */
  within(cost: number): number {
    return Math.min(Math.max(cost, this.low, LEAST_COST), this.high);
  }

  private note(cost: number): void {
    const bucket = bucketOf(cost);
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.total++;
    if (this.total % 64 === 0 && this.total >= FEWEST) this.measure();
    if (this.total < SAMPLE) return;
    this.total = 0;
    for (let index = 0; index < BUCKETS; index++) this.total += this.counts[index] = (this.counts[index] ?? 0) >> 1;
  }

  private measure(): void {
    const outside = this.total * LOWEST_SHARE;
    this.low = lowerBound(this.bucketAfter(outside)) / SLACK;
    this.high = lowerBound(this.bucketAfter(this.total - outside) + 1) * SLACK;
  }

  private bucketAfter(rank: number): number {
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) if ((seen += this.counts[bucket] ?? 0) >= rank) return bucket;
    return BUCKETS - 1;
  }
}

function bucketOf(cost: number): number {
  if (!(cost > 0)) return 0;
  return Math.min(BUCKETS - 1, Math.max(0, MIDDLE + Math.floor(Math.log2(cost) * BUCKETS_PER_DOUBLING)));
}

function lowerBound(bucket: number): number {
  return 2 ** ((bucket - MIDDLE) / BUCKETS_PER_DOUBLING);
}
