import type { AbstractHttpAdapter } from '@nestjs/core';
import 'reflect-metadata';

/** Header values by lower-case name. */
export type Headers = Readonly<Record<string, HeaderValue | undefined>>;
export type HeaderValue = string | number | readonly string[];

/** What is sent before a body. */
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

/** One request and its response, the same for Express and Fastify. */
export class Exchange {
  /** As the response was before the handler. */
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

  /** Of the request. */
  header(name: string): string | undefined {
    const value = this.request.headers[name];
    if (Array.isArray(value)) return value.join(', ');
    return typeof value === 'string' ? value : undefined;
  }

  /** As the response is now; Fastify's object changes under its holder. */
  head(): ResponseHead {
    return { status: this.response.statusCode, headers: { ...this.response.getHeaders() } };
  }

  /** Whether the response no longer shows what the handler does to it: something else was made the answer. */
  get isAnswered(): boolean {
    return this.isReplayed || this.adapter.isHeadersSent(this.response) === true;
  }

  /** From here on, the response is what the cache makes of it. */
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

const ROUTE_ARGUMENTS = '__routeArguments__';
const PASSTHROUGH = '__responsePassthrough__';
/** As Nest numbers what a parameter is filled with. */
const RESPONSE = 1;
const NEXT = 2;
/** Routes whose result is not what is sent. */
const OTHERWISE_SENT = ['__sse__', '__renderTemplate__', '__redirect__'];

type Class = abstract new (...args: never[]) => unknown;

/** How a handler has to do with the response it makes. */
export interface ResponseHandling {
  /** What the handler returns is what Nest sends. */
  readonly isNests: boolean;
  /** The handler is given the response, and may set headers and status. */
  readonly isTouched: boolean;
}

/** Read from what Nest notes of `@Res()`, `@Next()`, `@Sse()`, `@Render()` and `@Redirect()`. */
export function responseHandling(type: Class, handler: object): ResponseHandling {
  const method = nameOf(type, handler);
  const parameters: object = Reflect.getMetadata(ROUTE_ARGUMENTS, type, method) ?? {};
  const kinds = Object.keys(parameters).map((name) => Number(name.split(':')[0]));
  const isTouched = kinds.includes(RESPONSE) || kinds.includes(NEXT);
  const isPassedThrough = Reflect.getMetadata(PASSTHROUGH, type, method) === true;
  const isSentOtherwise = OTHERWISE_SENT.some((key) => Reflect.hasMetadata(key, handler));
  return { isNests: !isSentOtherwise && (!isTouched || isPassedThrough), isTouched };
}

/** Under which name the class has the method: the function's own may be another. */
function nameOf(type: Class, handler: object): string | symbol {
  for (let at: unknown = type.prototype; typeof at === 'object' && at !== null; at = Object.getPrototypeOf(at)) {
    const holder: object = at;
    const name = Reflect.ownKeys(holder).find((key) => Object.getOwnPropertyDescriptor(holder, key)?.value === handler);
    if (name !== undefined) return name;
  }
  return 'name' in handler ? String(handler.name) : '';
}
