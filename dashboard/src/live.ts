import { get, messageOf } from './api.js';
import type {
  Access,
  LaneMetrics,
  MetricsReport,
  NumbersFrame,
  SeriesName,
  ShownFinding,
  TrendReport,
} from './model.js';

/** The rates of a lane between the last two states. */
export interface Rates {
  readonly requests: number;
}

/** All that is live on the page. */
export interface Live {
  readonly state: 'loading' | 'live' | 'reconnecting' | 'failed';
  readonly problem?: string;
  readonly access: Access;
  readonly lanes: readonly LaneMetrics[];
  readonly host?: MetricsReport['host'];
  readonly checkpoints?: NumbersFrame['checkpoints'];
  readonly findings: readonly ShownFinding[];
  readonly rates: Readonly<Record<string, Rates>>;
  readonly trend: TrendReport;
  /** Epoch ms of the last state. */
  readonly at: number;
}

const NO_TREND: TrendReport = { everyMs: 5_000, times: [], lanes: {} };
const EMPTY: Live = {
  state: 'loading',
  access: { role: 'open' },
  lanes: [],
  findings: [],
  rates: {},
  trend: NO_TREND,
  at: 0,
};
const KEPT = 720;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 10_000;

/** Follows the app: loads what there is, listens to what changes, and starts anew when the app was restarted. */
export class LiveApp {
  current: Live = EMPTY;
  private readonly listeners = new Set<() => void>();
  private source: EventSource | undefined;
  private retryMs = FIRST_RETRY_MS;
  private sampled: { readonly at: number; readonly lanes: ReadonlyMap<string, LaneMetrics> } | undefined;

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async start(): Promise<void> {
    try {
      const [access, report, trend, doctor] = await Promise.all([
        get<Access>('access'),
        get<MetricsReport>('metrics'),
        get<TrendReport>('trend'),
        get<{ readonly findings: readonly ShownFinding[] }>('doctor'),
      ]);
      this.sampled = undefined;
      const lanes = Object.values(report.lanes);
      this.set({ ...EMPTY, access, lanes, trend, findings: doctor.findings, at: Date.now(), ...hostOf(report) });
      this.listen();
    } catch (error) {
      const state = this.current.lanes.length === 0 ? 'failed' : 'reconnecting';
      this.set({ ...this.current, state, problem: messageOf(error) });
      this.retry();
    }
  }

  /** What the doctor says now, with evidence where the role may see it. */
  async refreshFindings(): Promise<void> {
    const { findings } = await get<{ readonly findings: readonly ShownFinding[] }>('doctor');
    this.set({ ...this.current, findings });
  }

  private listen(): void {
    this.source?.close();
    const source = new EventSource('./api/events');
    this.source = source;
    source.addEventListener('numbers', ({ data }: MessageEvent<string>) => this.take(JSON.parse(data) as NumbersFrame));
    source.addEventListener('error', () => {
      source.close();
      this.set({ ...this.current, state: 'reconnecting' });
      this.retry();
    });
  }

  /** The stream ends every few minutes, which nobody need notice: the first attempt comes at once. */
  private retry(): void {
    setTimeout(() => void this.start(), this.retryMs);
    this.retryMs = Math.min(LONGEST_RETRY_MS, this.retryMs * 2);
  }

  private take(frame: NumbersFrame): void {
    this.retryMs = FIRST_RETRY_MS;
    const { current } = this;
    const lanes = current.lanes.map((lane) => ({ ...lane, ...frame.lanes[lane.lane], policy: lane.policy }));
    const seconds = (frame.at - current.at) / 1_000;
    const rates = seconds > 0.5 && current.state === 'live' ? ratesOf(current.lanes, lanes, seconds) : current.rates;
    const findings = sameCodes(current.findings, frame.findings) ? current.findings : undefined;
    if (findings === undefined) void this.refreshFindings().catch(() => undefined);
    this.set({
      ...current,
      state: 'live',
      lanes,
      rates,
      checkpoints: frame.checkpoints,
      at: frame.at,
      trend: this.grown(frame.at, lanes),
    });
  }

  /** The trend with what has happened since its last point, once an interval is over. */
  private grown(at: number, lanes: readonly LaneMetrics[]): TrendReport {
    const { trend } = this.current;
    const now = { at, lanes: new Map(lanes.map((lane) => [lane.lane, lane])) };
    if (this.sampled === undefined) {
      this.sampled = now;
      return trend;
    }
    if (at - this.sampled.at < trend.everyMs) return trend;
    const before = this.sampled.lanes;
    this.sampled = now;
    const grown = lanes.map((lane) => {
      const series = trend.lanes[lane.lane];
      const earlier = before.get(lane.lane);
      return [lane.lane, appended(series, deltas(earlier ?? lane, lane), trend.times.length)] as const;
    });
    return { ...trend, times: [...trend.times, at].slice(-KEPT), lanes: Object.fromEntries(grown) };
  }

  private set(live: Live): void {
    this.current = live;
    for (const listener of this.listeners) listener();
  }
}

const hostOf = ({ host }: MetricsReport): Pick<Live, 'host'> => (host === undefined ? {} : { host });

function ratesOf(before: readonly LaneMetrics[], after: readonly LaneMetrics[], seconds: number): Live['rates'] {
  const earlier = new Map(before.map((lane) => [lane.lane, lane.requests]));
  return Object.fromEntries(
    after.map(({ lane, requests }) => [
      lane,
      { requests: Math.max(0, requests - (earlier.get(lane) ?? requests)) / seconds },
    ]),
  );
}

const codesOf = (findings: readonly ShownFinding[]): string =>
  findings
    .map(({ lane = '', code }) => `${lane} ${code}`)
    .toSorted()
    .join();

const sameCodes = (a: readonly ShownFinding[], b: readonly ShownFinding[]): boolean => codesOf(a) === codesOf(b);

export const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0);

function deltas(before: LaneMetrics, after: LaneMetrics): Readonly<Record<SeriesName, number>> {
  const of = (value: (lane: LaneMetrics) => number): number => Math.max(0, value(after) - value(before));
  return {
    l1: of(({ l1 }) => l1.hits),
    l2: of(({ l2 }) => l2.hits),
    l3: of(({ l3 }) => l3.hits),
    l4: of(({ l4 }) => l4.hits),
    misses: of(({ misses }) => misses),
    bypassed: of(({ bypassed }) => sum(bypassed)),
    computed: of(({ computed }) => computed),
    computeMs: of(({ computed, avgComputeMs }) => computed * avgComputeMs),
    evictions: of(({ l1, l2, l3 }) => l1.evictions + l2.evictions + l3.evictions),
  };
}

function appended(
  series: Readonly<Record<SeriesName, readonly number[]>> | undefined,
  delta: Readonly<Record<SeriesName, number>>,
  length: number,
): Record<SeriesName, readonly number[]> {
  const of = (name: SeriesName): readonly number[] =>
    [...(series?.[name] ?? Array.from({ length }, () => 0)), delta[name]].slice(-KEPT);
  return {
    l1: of('l1'),
    l2: of('l2'),
    l3: of('l3'),
    l4: of('l4'),
    misses: of('misses'),
    bypassed: of('bypassed'),
    computed: of('computed'),
    computeMs: of('computeMs'),
    evictions: of('evictions'),
  };
}
