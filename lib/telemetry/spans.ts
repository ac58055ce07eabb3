import type * as Api from '@opentelemetry/api';
import type { Tracing } from '../cache/lane-context.js';
import type { CheckpointStore } from '../checkpoints/checkpoint-store.js';
import type { LowerTierName } from '../entries/tier-name.js';
import type { LaneCacheEvents } from '../events/event-map.js';

/** What of @opentelemetry/api spans need. */
export type SpanApi = Pick<typeof Api, 'context' | 'trace' | 'SpanKind' | 'SpanStatusCode'>;

interface SpanSettings {
  /** Whether spans carry keys and ids. */
  readonly keys: boolean;
}

type Attributes = Readonly<Record<string, string | number | boolean>>;

const TRACED_CHECKPOINT_CALLS = [
  'save',
  'begin',
  'read',
  'history',
  'list',
  'remove',
  'mark',
  'clean',
  'finish',
] as const;

/** Makes spans of what callers wait for, each in the trace of its caller. */
export class Spans implements Tracing {
  /** The span of each flight that computes. */
  private readonly computations = new WeakMap<object, Api.Span>();

  constructor(
    private readonly api: SpanApi,
    private readonly tracer: Api.Tracer,
    private readonly settings: SpanSettings,
  ) {}

  compute<T>(flight: object, lane: string, key: string, run: () => Promise<T>): Promise<T> {
    const span = this.start(`compute ${lane}`, this.of(lane, key));
    this.computations.set(flight, span);
    return this.api.context.with(this.api.trace.setSpan(this.api.context.active(), span), () => this.ends(span, run()));
  }

  joined(flight: object, lane: string, key: string, answer: Promise<unknown>): void {
    const span = this.start(`join ${lane}`, this.of(lane, key));
    const end = (): void => {
      // The computation may have begun after the caller came.
      const computation = this.computations.get(flight);
      if (computation !== undefined) span.addLink({ context: computation.spanContext() });
      span.end();
    };
    answer.then(end, end);
  }

  lookup<T extends { readonly outcome: string }>(
    tier: LowerTierName,
    lane: string,
    key: string,
    read: () => T | Promise<T>,
  ): T | Promise<T> {
    const attributes = { ...this.of(lane, key), 'lane_cache.tier': tier };
    const { CLIENT, INTERNAL } = this.api.SpanKind;
    const span = this.start(
      `look up ${tier}`,
      tier === 'l4' ? { ...attributes, 'db.system.name': 'redis' } : attributes,
      tier === 'l4' ? CLIENT : INTERNAL,
    );
    const found = (lookup: T): T => {
      span.setAttribute('lane_cache.outcome', lookup.outcome);
      span.end();
      return lookup;
    };
    const lookup = read();
    return lookup instanceof Promise ? lookup.then(found, (error: unknown) => this.fails(span, error)) : found(lookup);
  }

  wait<T>(what: string, lane: string, waiting: Promise<T>): Promise<T> {
    return this.ends(this.start(`wait ${what}`, { 'lane_cache.lane': lane }), waiting);
  }

  checkpoints(store: CheckpointStore): CheckpointStore {
    const traced = Object.create(store) as Record<string, unknown>;
    for (const call of TRACED_CHECKPOINT_CALLS) {
      const act: (...args: never[]) => Promise<unknown> = store[call];
      traced[call] = (...args: never[]) => this.ends(this.start(`checkpoint ${call}`, {}), act.apply(store, args));
    }
    return traced as unknown as CheckpointStore;
  }

  /** Also spans of hits in memory, which have no length. */
  hitsOf(events: LaneCacheEvents): () => void {
    return events.on('hit', ({ lane, key, tier }) => {
      if (tier === 'l1') this.start(`hit ${lane}`, { ...this.of(lane, key), 'lane_cache.tier': 'l1' }).end();
    });
  }

  private of(lane: string, key: string): Attributes {
    return this.settings.keys ? { 'lane_cache.lane': lane, 'lane_cache.key': key } : { 'lane_cache.lane': lane };
  }

  private start(name: string, attributes: Attributes, kind = this.api.SpanKind.INTERNAL): Api.Span {
    return this.tracer.startSpan(name, { attributes, kind });
  }

  /** The span ends as the work does. */
  private ends<T>(span: Api.Span, work: Promise<T>): Promise<T> {
    return work.then(
      (value) => {
        span.end();
        return value;
      },
      (error: unknown) => this.fails(span, error),
    );
  }

  private fails(span: Api.Span, error: unknown): never {
    span.setStatus({ code: this.api.SpanStatusCode.ERROR });
    span.setAttribute('error.type', error instanceof Error ? error.name : typeof error);
    span.end();
    // passed on as it is, an Error or not
    throw error;
  }
}
