import type * as Api from '@opentelemetry/api';
import type { Tracing } from '../cache/lane-context.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import type { LaneCacheEvents } from '../events/event-map.js';
import type { LaneCacheMetrics } from '../metrics/lane-cache-metrics.js';
import { PROMETHEUS_METRICS, type MetricDefinition } from '../metrics/prometheus-metrics.js';
import { Spans } from './spans.js';

/** What goes to OpenTelemetry, through the providers that the app has set up. */
export interface TelemetryOptions {
  /**
   * `misses`: spans of computations, of look-ups below memory, of checkpoints, and of waiting for others. `all`: also of hits
   * in memory. `none`: metrics alone. Default 'misses'.
   */
  readonly spans?: 'none' | 'misses' | 'all';
  /** Whether keys are in the attributes of spans. Default false. */
  readonly keys?: boolean;
}

/** What of an app is observed. */
interface Observed {
  readonly metrics: LaneCacheMetrics;
  readonly events: LaneCacheEvents;
}

const NAME = 'nestjs-lane-cache';
/** The optional peer. As a variable, so that compilers and bundlers do not look for it. */
const API: string = '@opentelemetry/api';

/** The metrics and spans of one app. */
export class Telemetry {
  private readonly stops: (() => void)[] = [];

  /** Throws OPTIONS_INVALID if `@opentelemetry/api` is not installed. */
  static async open(options: TelemetryOptions): Promise<Telemetry> {
    return new Telemetry(await loadApi(), options);
  }

  private constructor(
    private readonly api: typeof Api,
    private readonly options: TelemetryOptions,
  ) {
    if (options.spans !== 'none')
      this.spans = new Spans(api, api.trace.getTracer(NAME), { keys: options.keys ?? false });
  }

  private readonly spans: Spans | undefined;

  get tracing(): Tracing | undefined {
    return this.spans;
  }

  observe({ metrics, events }: Observed): void {
    const meter = this.api.metrics.getMeter(NAME);
    const instruments = PROMETHEUS_METRICS.filter(({ type }) => type !== 'histogram').map((definition) => ({
      definition,
      instrument: instrumentOf(meter, definition),
    }));
    const all = instruments.map(({ instrument }) => instrument);
    const read = async (result: Api.BatchObservableResult): Promise<void> => {
      for (const { definition, instrument } of instruments) {
        for (const { labels, value } of await metrics.samplesOf(definition)) {
          result.observe(instrument, value, attributesOf(labels));
        }
      }
    };
    meter.addBatchObservableCallback(read, all);
    this.stops.push(() => meter.removeBatchObservableCallback(read, all));
    const durations = meter.createHistogram('lane_cache.compute.duration', {
      description: 'How long computations took.',
      unit: 's',
    });
    this.stops.push(
      events.on('compute', ({ lane, ms, outcome, error }) => {
        const attributes = { 'lane_cache.lane': lane };
        if (outcome === 'ok') durations.record(ms / 1_000, attributes);
        else
          durations.record(ms / 1_000, { ...attributes, 'error.type': error instanceof Error ? error.name : outcome });
      }),
    );
    if (this.options.spans === 'all' && this.spans !== undefined) this.stops.push(this.spans.hitsOf(events));
  }

  /** Nest calls it when the app has closed, so that a last export has the last numbers. */
  onApplicationShutdown(): void {
    for (const stop of this.stops.splice(0)) stop();
  }
}

async function loadApi(): Promise<typeof Api> {
  try {
    return (await import(API)) as typeof Api;
  } catch (cause) {
    throw new LaneCacheError(
      'OPTIONS_INVALID',
      "'telemetry' needs the package @opentelemetry/api, which could not be loaded. Install it: npm install @opentelemetry/api@1.",
      { field: 'telemetry', cause },
    );
  }
}

/** `lane_cache_time_saved_seconds_total` -> `lane_cache.time_saved`, in `s`. */
function instrumentOf(meter: Api.Meter, { name, help, type }: MetricDefinition): Api.Observable {
  const short = name.replace(/^lane_cache_/, '').replace(/_total$/, '');
  const unit = short.endsWith('_seconds') ? 's' : short.endsWith('_bytes') ? 'By' : `{${short.replace(/s$/, '')}}`;
  const called = `lane_cache.${short.replace(/_(seconds|bytes)$/, '')}`;
  const options = { description: help, unit };
  return type === 'counter'
    ? meter.createObservableCounter(called, options)
    : meter.createObservableGauge(called, options);
}

function attributesOf(labels: Readonly<Record<string, string | number>>): Api.Attributes {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [`lane_cache.${name}`, value]));
}
