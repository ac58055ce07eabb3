import type { AbstractHttpAdapter } from '@nestjs/core';

/** Header values by lower-case name. */
export type Headers = Readonly<Record<string, HeaderValue | undefined>>;
export type HeaderValue = string | number | readonly string[];

interface PlatformRequest {
  readonly headers: Headers;
  readonly user?: unknown;
}

interface PlatformResponse {
  readonly statusCode: number;
  getHeaders(): Headers;
}

const SEEN = Symbol.for('nestjs-lane-cache.seen');

/** One request and its response, the same for Express and Fastify. */
export class Exchange {
  constructor(
    private readonly adapter: Pick<
      AbstractHttpAdapter,
      'getRequestMethod' | 'getRequestUrl' | 'setHeader' | 'status' | 'isHeadersSent'
    >,
    readonly request: PlatformRequest,
    private readonly response: PlatformResponse,
  ) {}

  /** true the first time only: an interceptor may be bound to the app, the class and the method. */
  enter(): boolean {
    if (Object.hasOwn(this.request, SEEN)) return false;
    Object.defineProperty(this.request, SEEN, { value: true });
    return true;
  }

  get method(): string {
    return String(this.adapter.getRequestMethod(this.request));
  }

  get url(): string {
    return String(this.adapter.getRequestUrl(this.request));
  }

  /** Without its port, which says nothing about what is asked for. */
  get host(): string {
    const host = this.header('host') ?? this.header(':authority') ?? '';
    return host.replace(/:\d+$/, '').toLowerCase();
  }

  /** Whether the answer may be for whoever asks alone. */
  get isPersonal(): boolean {
    const { headers, user } = this.request;
    return (
      headers['authorization'] !== undefined || headers['cookie'] !== undefined || (user ?? undefined) !== undefined
    );
  }

  /** Of the request. */
  header(name: string): string | undefined {
    const value = this.request.headers[name];
    if (Array.isArray(value)) return value.join(', ');
    return typeof value === 'string' ? value : undefined;
  }

  /** Of the response, as they are now; Fastify's object changes under its holder. */
  responseHeaders(): Headers {
    return { ...this.response.getHeaders() };
  }

  get status(): number {
    return this.response.statusCode;
  }

  get isSent(): boolean {
    return this.adapter.isHeadersSent(this.response) === true;
  }

  setStatus(status: number): void {
    this.adapter.status(this.response, status);
  }

  setHeader(name: string, value: HeaderValue): void {
    // its type says text, but both platforms take lists, as a header that is there several times
    Reflect.apply(this.adapter.setHeader, this.adapter, [this.response, name, value]);
  }
}
