import type { AbstractHttpAdapter } from '@nestjs/core';

/** Header values by lower-case name. */
export type Headers = Readonly<Record<string, HeaderValue | undefined>>;
export type HeaderValue = string | number | readonly string[];

/** Status and headers of a response. */
interface ResponseHead {
  readonly status: number;
  readonly headers: Headers;
}

interface PlatformRequest {
  readonly headers: Headers;
  readonly user?: unknown;
}

interface PlatformResponse {
  readonly statusCode: number;
  getHeaders(): Headers;
}

const SEEN = Symbol.for('nestjs-lane-cache.seen');

/** One request and its response, with one interface for Express and Fastify. */
export class Exchange {
  /** The response before the handler runs. */
  readonly before: ResponseHead;
  private isReplayed = false;

  constructor(
    private readonly adapter: Pick<
      AbstractHttpAdapter,
      'getRequestHostname' | 'getRequestMethod' | 'getRequestUrl' | 'setHeader' | 'status' | 'isHeadersSent'
    >,
    readonly request: PlatformRequest,
    private readonly response: PlatformResponse,
  ) {
    this.before = this.head();
  }

  /** True at the first call only: the interceptor may be bound to the app, the class and the method at once. */
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

  /** The host as the app sees it, which may trust a proxy, without the port. */
  get host(): string {
    const host: unknown = this.adapter.getRequestHostname(this.request);
    return typeof host === 'string' ? host.toLowerCase() : '';
  }

  /** Whether the answer may be for this user alone. */
  get isPersonal(): boolean {
    const { headers, user } = this.request;
    return (
      headers['authorization'] !== undefined || headers['cookie'] !== undefined || (user ?? undefined) !== undefined
    );
  }

  /** Whether the answer may depend on more than the head of the request. */
  get hasBody(): boolean {
    const { headers } = this.request;
    return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0;
  }

  /** A header of the request. */
  header(name: string): string | undefined {
    const value = this.request.headers[name];
    if (Array.isArray(value)) return value.join(', ');
    return typeof value === 'string' ? value : undefined;
  }

  /** The response as it is now. A copy, because Fastify reuses its object. */
  head(): ResponseHead {
    return { status: this.response.statusCode, headers: { ...this.response.getHeaders() } };
  }

  /** Whether the response has been sent or replaced, so that it no longer shows what the handler does to it. */
  get isAnswered(): boolean {
    return this.isReplayed || this.adapter.isHeadersSent(this.response) === true;
  }

  /** Called before the cache writes a stored answer to the response. */
  beginReplay(): void {
    this.isReplayed = true;
  }

  setStatus(status: number): void {
    this.adapter.status(this.response, status);
  }

  setHeader(name: string, value: HeaderValue): void {
    // Its type is text, but both platforms accept lists, for a header that is sent several times.
    Reflect.apply(this.adapter.setHeader, this.adapter, [this.response, name, value]);
  }
}
