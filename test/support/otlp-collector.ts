import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

type Value = {
  readonly stringValue?: string;
  readonly intValue?: number | string;
  readonly boolValue?: boolean;
  readonly doubleValue?: number;
};
interface Attribute {
  readonly key: string;
  readonly value: Value;
}

export interface CollectedSpan {
  readonly name: string;
  /** 1 is internal, 3 a client. */
  readonly kind?: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly attributes: readonly Attribute[];
  readonly links?: readonly { readonly spanId: string }[];
  readonly status?: { readonly code?: number };
}

interface Point {
  readonly attributes: readonly Attribute[];
  readonly asDouble?: number;
  readonly asInt?: number | string;
  readonly count?: number | string;
}

interface Metric {
  readonly name: string;
  readonly unit?: string;
  readonly sum?: { readonly dataPoints: readonly Point[] };
  readonly gauge?: { readonly dataPoints: readonly Point[] };
  readonly histogram?: { readonly dataPoints: readonly Point[] };
}

/** Stands in for a collector: takes what exporters send by OTLP over HTTP, as JSON. */
export class OtlpCollector {
  readonly spans: CollectedSpan[] = [];
  metrics: readonly Metric[] = [];

  private constructor(private readonly server: Server) {
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        this.take(request.url ?? '', JSON.parse(Buffer.concat(chunks).toString()));
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end('{}');
      });
    });
  }

  static async open(): Promise<OtlpCollector> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new OtlpCollector(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** The last value of a metric with these attributes. */
  value(name: string, attributes: Readonly<Record<string, string>> = {}): number | undefined {
    return this.values(name, attributes)[0];
  }

  /** Of all points with these attributes. */
  sum(name: string, attributes: Readonly<Record<string, string>>): number {
    return this.values(name, attributes).reduce((total, value) => total + value, 0);
  }

  private values(name: string, attributes: Readonly<Record<string, string>>): readonly number[] {
    const metric = this.metrics.find((one) => one.name === name);
    const points = (metric?.sum ?? metric?.gauge ?? metric?.histogram)?.dataPoints ?? [];
    return points
      .filter((one) => Object.entries(attributes).every(([key, wanted]) => textOf(one.attributes, key) === wanted))
      .map((point) => Number(point.asInt ?? point.asDouble ?? point.count));
  }

  unitOf(name: string): string | undefined {
    return this.metrics.find((one) => one.name === name)?.unit;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private take(url: string, body: Received): void {
    const { resourceSpans = [], resourceMetrics = [] } = body;
    if (url.endsWith('/v1/traces'))
      for (const { scopeSpans } of resourceSpans) for (const { spans } of scopeSpans) this.spans.push(...spans);
    else this.metrics = resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics));
  }
}

interface Received {
  readonly resourceSpans?: readonly { readonly scopeSpans: readonly { readonly spans: readonly CollectedSpan[] }[] }[];
  readonly resourceMetrics?: readonly { readonly scopeMetrics: readonly { readonly metrics: readonly Metric[] }[] }[];
}

export function textOf(attributes: readonly Attribute[], key: string): string | undefined {
  const value = attributes.find((one) => one.key === key)?.value;
  return value?.stringValue;
}
