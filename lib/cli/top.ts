import type { Clock } from '../clock/clock.js';
import type { LaneMetrics } from '../events/lane-metrics.js';
import { TIER_NAMES } from '../entries/tier-name.js';
import type { Finding } from '../errors/finding.js';
import type { MetricsReport } from '../metrics/lane-cache-metrics.js';
import type { Operations } from '../operations/operations.js';
import type { CommandContext } from './command-context.js';
import type { Terminal } from './terminal.js';
import { type Column, countText, fittedTable, percentText, shown, spanText, wrapped } from './texts.js';

/** How many intervals a spark line shows. */
const KEPT = 24;
const SPARKS = '▁▂▃▄▅▆▇█';
/** The doctor looks at the disk too. */
const DOCTOR_EVERY_MS = 30_000;

/** What happened between two states of a lane. */
export interface LaneRates {
  readonly requestsPerSecond: number;
  readonly computingMsPerSecond: number;
  readonly evictionsPerMinute: number;
}

/** `top`, `metrics --watch`: the lanes as they change, until it is interrupted. In a pipe one line of JSON for each state. */
export async function top(context: CommandContext, everyMs: number): Promise<void> {
  const { terminal, clock } = context;
  await context.with(async (access) => {
    if (access.kind === 'stored') {
      terminal.note('No app runs on this directory, so nothing changes. These are the counters that it left.');
    }
    const watch = new Watch(access.operations, context.options.lane);
    const screen = terminal.screen();
    try {
      for (let isEnded = false; !isEnded;) {
        await watch.look(clock.monotonic());
        if (context.isJson) terminal.out(JSON.stringify(watch.state));
        else screen.draw(watch.text(terminal));
        if (access.kind === 'stored') return;
        isEnded = await endsWithin(screen.ended, clock, everyMs);
      }
    } finally {
      screen.close();
    }
  });
}

/** Whether `ended` resolves within `ms`. No timer is left then, which would keep the process running. */
function endsWithin(ended: Promise<void>, clock: Clock, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const cancel = clock.schedule(ms, () => resolve(false), 'awaited');
    void ended.then(() => {
      cancel();
      resolve(true);
    });
  });
}

/** The states of an app, one after the other. */
class Watch {
  private report: MetricsReport | undefined;
  private readAt = 0;
  private rates: ReadonlyMap<string, LaneRates> = new Map();
  private readonly past = new Map<string, number[]>();
  private findings: readonly Finding[] = [];
  private diagnosedAt = -Infinity;

  constructor(
    private readonly operations: Operations,
    private readonly lane: string | undefined,
  ) {}

  async look(now: number): Promise<void> {
    const report = await this.operations.metrics();
    const before = this.report;
    const seconds = (now - this.readAt) / 1_000;
    this.rates = new Map(
      this.lanesOf(report).map((lane) => [lane.lane, ratesOf(before?.lanes[lane.lane], lane, seconds)]),
    );
    this.report = report;
    this.readAt = now;
    if (before !== undefined) {
      for (const [lane, { requestsPerSecond }] of this.rates) {
        this.past.set(lane, [...(this.past.get(lane) ?? []), requestsPerSecond].slice(-KEPT));
      }
    }
    if (now - this.diagnosedAt < DOCTOR_EVERY_MS) return;
    this.diagnosedAt = now;
    this.findings = await this.operations.doctor(this.lane);
  }

  /** For pipes. */
  get state(): object {
    const lanes = this.shown.map(({ lane, requests, hitRate }) => [
      lane,
      { requests, hitRate, ...this.rates.get(lane) },
    ]);
    return { timestamp: this.report?.timestamp, lanes: Object.fromEntries(lanes) };
  }

  text({ columns, paint }: Terminal): string {
    const rows = this.shown.map((metrics) => {
      const { lane, requests, hitRate, timeSavedMs, policy } = metrics;
      const rates = this.rates.get(lane) ?? NO_RATES;
      const isLow = policy.targets.hitRate !== null && hitRate < policy.targets.hitRate[0];
      return [
        shown(lane, 40),
        rateText(rates.requestsPerSecond),
        requests === 0 ? '-' : paint(isLow ? 'yellow' : 'green', percentText(hitRate)),
        spanText(Math.round(rates.computingMsPerSecond)),
        countText(Math.round(rates.evictionsPerMinute)),
        spanText(timeSavedMs),
        tiersText(metrics),
        sparkText(this.past.get(lane) ?? []),
      ];
    });
    const at = this.report?.timestamp ?? '';
    const head = `${paint('bold', 'lane cache')}  ${paint('dim', `${at}  Ctrl-C ends`)}`;
    const found = this.findings.map(({ lane, code }) => (lane === undefined ? code : `${code} in ${shown(lane, 40)}`));
    const foot =
      found.length === 0
        ? paint('green', 'Nothing is wrong.')
        : paint('yellow', wrapped(`${found.join(', ')}. See doctor.`, columns));
    return `${head}\n\n${fittedTable(columns, COLUMNS, rows)}\n\n${foot}`;
  }

  private get shown(): readonly LaneMetrics[] {
    return this.report === undefined ? [] : this.lanesOf(this.report);
  }

  private lanesOf({ lanes }: MetricsReport): readonly LaneMetrics[] {
    return Object.values(lanes).filter(({ lane }) => this.lane === undefined || lane === this.lane);
  }
}

const NO_RATES: LaneRates = { requestsPerSecond: 0, computingMsPerSecond: 0, evictionsPerMinute: 0 };

const COLUMNS: readonly Column[] = [
  { head: 'lane', least: 8 },
  { head: 'req/s' },
  { head: 'hit rate' },
  { head: 'computing/s', leftOut: 2 },
  { head: 'evicted/min', leftOut: 3 },
  { head: 'saved', leftOut: 1 },
  { head: 'fill', leftOut: 4 },
  { head: 'requests', leftOut: 5 },
];

/** A restarted app counts from 0. */
function ratesOf(before: LaneMetrics | undefined, now: LaneMetrics, seconds: number): LaneRates {
  if (before === undefined || seconds <= 0) return NO_RATES;
  const grown = (value: (lane: LaneMetrics) => number): number => Math.max(0, value(now) - value(before));
  return {
    requestsPerSecond: grown(({ requests }) => requests) / seconds,
    computingMsPerSecond: grown(({ computed, avgComputeMs }) => computed * avgComputeMs) / seconds,
    evictionsPerMinute: (grown(({ l1, l2, l3 }) => l1.evictions + l2.evictions + l3.evictions) / seconds) * 60,
  };
}

const rateText = (rate: number): string => (rate > 0 && rate < 10 ? rate.toFixed(1) : countText(Math.round(rate)));

/** How full each tier that the lane uses is: `l1 42 %`, or `l3 off`. */
function tiersText({ policy, ...metrics }: LaneMetrics): string {
  return TIER_NAMES.filter((tier) => metrics[tier].reason !== 'policy' && metrics[tier].reason !== 'no-directory')
    .map((tier) => {
      const { state, entries, sizeBytes } = metrics[tier];
      if (state === 'off') return `${tier} off`;
      if (tier === 'l4') return 'l4 on';
      const { maxEntries, maxBytes } = policy[tier];
      return `${tier} ${Math.round(100 * Math.max(entries / maxEntries, sizeBytes / maxBytes))}%`;
    })
    .join(' ');
}

/** The last values as bars, the tallest of which is the largest. */
export function sparkText(values: readonly number[]): string {
  const largest = Math.max(...values, 0);
  return values
    .map((value) => SPARKS[largest === 0 ? 0 : Math.round((value / largest) * (SPARKS.length - 1))] ?? '')
    .join('');
}
