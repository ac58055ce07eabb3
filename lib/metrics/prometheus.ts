import { LaneCacheError } from '../errors/lane-cache.error.js';
import type { FaultCounts } from '../events/reasons.js';
import {
  PROMETHEUS_METRICS,
  type CheckpointUse,
  type MetricDefinition,
  type Sample,
  type ScrapedInstance,
  type ScrapedLane,
} from './prometheus-metrics.js';

/** Loads the optional peer prom-client. */
export type PromClientLoader = () => Promise<unknown>;

/** What is used of a prom-client Registry. */
interface PromRegistry {
  registerMetric(metric: ScrapedMetric): void;
  metrics(): Promise<string>;
}

const PROM_CLIENT: string = 'prom-client';
const loadPromClient: PromClientLoader = () => import(PROM_CLIENT);

/** What a scrape reads. */
interface PageSources {
  readonly lanes: () => readonly ScrapedLane[];
  readonly checkpoints: (() => Promise<ReadonlyMap<string, CheckpointUse>>) | undefined;
  readonly faults: () => FaultCounts;
  readonly shared: (() => ScrapedInstance | undefined) | undefined;
  readonly load: PromClientLoader | undefined;
}

/** The numbers as prom-client metrics. They are read at each scrape, not kept beside the counters. */
export class PrometheusPage {
  private own: Promise<PromRegistry> | undefined;

  constructor(private readonly sources: PageSources) {}

  /** The page in the text format. Throws OPTIONS_INVALID if prom-client is missing. */
  async text(): Promise<string> {
    this.own ??= this.openRegistry();
    const registry = await this.own.catch((error: unknown) => {
      this.own = undefined;
      throw error;
    });
    return registry.metrics();
  }

  /** Throws OPTIONS_INVALID if `registry` is no prom-client Registry. */
  registerWith(registry: object): void {
    if (!isRegistry(registry)) {
      throw new LaneCacheError(
        'OPTIONS_INVALID',
        'registerWith() takes a prom-client Registry, such as `register` or `new Registry()` of prom-client.',
        { field: 'registry' },
      );
    }
    for (const definition of PROMETHEUS_METRICS) {
      registry.registerMetric(new ScrapedMetric(definition, () => this.scrape(definition)));
    }
  }

  private async openRegistry(): Promise<PromRegistry> {
    const registry = newRegistry(await this.loadPromClient());
    this.registerWith(registry);
    return registry;
  }

  private async loadPromClient(): Promise<unknown> {
    try {
      return await (this.sources.load ?? loadPromClient)();
    } catch (cause) {
      throw missingPromClient(cause);
    }
  }

  /** The lines of one metric now. */
  async scrape(definition: MetricDefinition): Promise<readonly Sample[]> {
    const { sources } = this;
    if (definition.source === 'counters') return sources.lanes().flatMap(definition.samples);
    if (definition.source === 'faults') return definition.samples(sources.faults());
    if (definition.source === 'shared') {
      const shared = sources.shared?.();
      return shared === undefined ? [] : definition.samples(shared);
    }
    const checkpoints = await sources.checkpoints?.();
    if (checkpoints === undefined) return [];
    return [...checkpoints].flatMap(([lane, use]) => definition.samples(lane, use));
  }
}

/** One metric as a Registry holds it. `name` is writable because a Registry in OpenMetrics mode renames counters. */
class ScrapedMetric {
  name: string;
  readonly type: string;
  readonly help: string;
  readonly aggregator = 'sum';

  constructor(
    definition: MetricDefinition,
    private readonly samples: () => Promise<readonly Sample[]>,
  ) {
    this.name = definition.name;
    this.type = definition.type;
    this.help = definition.help;
  }

  async get(): Promise<object> {
    const { name, type, help, aggregator } = this;
    return { name, type, help, aggregator, values: await this.samples() };
  }

  /** A Registry may ask for it; the counters go on, as counters do. */
  reset(): void {}
}

function newRegistry(promClient: unknown): PromRegistry {
  const Registry = registryClass(promClient) ?? registryClass(field(promClient, 'default'));
  const registry: unknown = Registry === undefined ? undefined : Reflect.construct(Registry, []);
  if (isRegistry(registry)) return registry;
  throw missingPromClient(undefined);
}

function registryClass(module: unknown): (new () => unknown) | undefined {
  const found = field(module, 'Registry');
  return isConstructor(found) ? found : undefined;
}

const isConstructor = (value: unknown): value is new () => unknown => typeof value === 'function';

function isRegistry(value: unknown): value is PromRegistry {
  return typeof field(value, 'registerMetric') === 'function' && typeof field(value, 'metrics') === 'function';
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

function missingPromClient(cause: unknown): LaneCacheError {
  return new LaneCacheError(
    'OPTIONS_INVALID',
    'The Prometheus page needs the package prom-client, which could not be loaded. Install it: npm install prom-client@15.',
    { field: 'metrics', cause },
  );
}
