/** Durations in milliseconds: their mean, the middle one, and one that only a hundredth exceeds. */
export interface Times {
  readonly avgMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const NO_TIMES: Times = Object.freeze({ avgMs: 0, p50Ms: 0, p99Ms: 0 });

export function timesOf(durations: readonly number[]): Times {
  if (durations.length === 0) return NO_TIMES;
  const sorted = durations.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  const sum = durations.reduce((total, one) => total + one, 0);
  return { avgMs: sum / durations.length, p50Ms: at(0.5), p99Ms: at(0.99) };
}
