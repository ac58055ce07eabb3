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
  readonly host?: unknown;
  readonly protocol?: unknown;
  readonly query?: unknown;
  readonly params?: unknown;
}

/** The response of Express, which is that of Node, or the reply of Fastify around it. */
interface PlatformResponse {
  readonly statusCode: number;
  readonly raw?: NodeResponse;
  getHeaders(): Headers;
  removeHeader(name: string): unknown;
}

/** The response of Node. */
export interface NodeResponse {
  statusCode: number;
  readonly headersSent: boolean;
  readonly destroyed: boolean;
  getHeader(name: string): HeaderValue | undefined;
  setHeader(name: string, value: HeaderValue): unknown;
  removeHeader(name: string): void;
  once(event: 'close', listener: () => void): unknown;
}

/** Takes part in how a response is sent. */
export interface ResponseWatcher {
  /** Before the body is turned into bytes. true = the client has these bytes: 304 is sent instead. */
  isHeldByClient(body: unknown): boolean;
  /** When the head is about to be written. */
  completeHead(response: NodeResponse): void;
}

const SEEN = Symbol.for('nestjs-lane-cache.seen');
const SENDERS = ['json', 'send'] as const;
const NOT_MODIFIED = 304;

/** One request and its response, with one interface for Express and Fastify. */
export class Exchange {
  /** The response before the handler runs. */
  readonly before: ResponseHead;
  private readonly userBefore: unknown;
  private isReplayed = false;
  private sending: 'waits' | 'head-written' | 'client-left' = 'waits';
  private lateHeaders = false;
  private readonly waiting: (() => void)[] = [];

  constructor(
    private readonly adapter: Pick<
      AbstractHttpAdapter,
      'getRequestHostname' | 'getRequestMethod' | 'getRequestUrl' | 'setHeader' | 'status' | 'isHeadersSent'
    >,
    readonly request: PlatformRequest,
    private readonly response: PlatformResponse,
  ) {
    this.before = this.head();
    this.userBefore = request.user;
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

  /** The host with its port as the app sees it, which may trust a proxy. */
  get host(): unknown {
    return this.request.host ?? this.adapter.getRequestHostname(this.request);
  }

  /** Whether the answer may be for this user alone. */
  get isPersonal(): boolean {
    const { headers, user } = this.request;
    return (
      headers['authorization'] !== undefined || headers['cookie'] !== undefined || (user ?? undefined) !== undefined
    );
  }

  /** Whether code that ran after the cache interceptor started has set the user. */
  get hasOtherUser(): boolean {
    return this.request.user !== this.userBefore;
  }

  /** Whether the answer may depend on more than the head of the request, or be a part of it. */
  get isSpecial(): boolean {
    const { headers } = this.request;
    return (
      headers['transfer-encoding'] !== undefined ||
      Number(headers['content-length'] ?? 0) !== 0 ||
      headers['range'] !== undefined
    );
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

  /** Whether something else has answered, such as an interceptor that limits the handler's time. */
  get isAnsweredByOthers(): boolean {
    return !this.isReplayed && this.isAnswered;
  }

  /** Called before the cache writes a stored answer to the response. */
  beginReplay(): void {
    this.isReplayed = true;
  }

  get status(): number {
    return this.response.statusCode;
  }

  setStatus(status: number): void {
    this.adapter.status(this.response, status);
  }

  setHeader(name: string, value: HeaderValue): void {
    // Its type is text, but both platforms accept lists, for a header that is sent several times.
    Reflect.apply(this.adapter.setHeader, this.adapter, [this.response, name, value]);
  }

  removeHeader(name: string): void {
    // A header that middleware has set is not one of Fastify's reply.
    this.raw.removeHeader(name);
    this.response.removeHeader(name);
  }

  /** Lets `watcher` take part in how the response is sent. */
  watch(watcher: ResponseWatcher): void {
    const { raw } = this;
    const order = watchHead(raw, {
      before: () => watcher.completeHead(raw),
      after: () => this.becomes('head-written'),
    });
    this.lateHeaders = order === 'others-follow';
    raw.once('close', () => this.becomes('client-left'));
    this.watchBody(watcher);
  }

  /** Whether other code may add headers after `completeHead`. */
  get mayGetLateHeaders(): boolean {
    return this.lateHeaders;
  }

  /** Resolves when the head of the response is written, or the client has left. */
  whenHeadWritten(): Promise<void> {
    if (this.sending !== 'waits' || this.raw.headersSent || this.raw.destroyed) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** Whether the client left before the head was written, so that nobody sees the headers that are set then. */
  get hasClientLeft(): boolean {
    const { raw, sending } = this;
    return sending !== 'head-written' && !raw.headersSent && (sending === 'client-left' || raw.destroyed);
  }

  private becomes(sending: 'head-written' | 'client-left'): void {
    if (this.sending === 'waits') this.sending = sending;
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  /** Whether the response sets a cookie, as far as its headers are known. */
  get setsCookie(): boolean {
    return this.response.getHeaders()['set-cookie'] !== undefined || this.raw.getHeader('set-cookie') !== undefined;
  }

  private get raw(): NodeResponse {
    // Express extends the response of Node itself.
    return this.response.raw ?? (this.response as unknown as NodeResponse);
  }

  /** Nest hands the body to one of these methods, in the form in which the outermost interceptor returns it. */
  private watchBody(watcher: ResponseWatcher): void {
    const { response, adapter } = this;
    const senders = SENDERS.filter((name) => typeof Reflect.get(response, name) === 'function');
    const own = senders.map((name) => Object.getOwnPropertyDescriptor(response, name));
    const restore = (): void =>
      senders.forEach((name, index) => {
        Reflect.deleteProperty(response, name);
        const descriptor = own[index];
        if (descriptor !== undefined) Object.defineProperty(response, name, descriptor);
      });
    const send = (name: string, args: readonly unknown[]): unknown => {
      restore();
      if (!watcher.isHeldByClient(args[0])) return Reflect.apply(methodOf(response, name), response, args);
      adapter.status(response, NOT_MODIFIED);
      return Reflect.apply(methodOf(response, 'send'), response, []);
    };
    for (const name of senders) {
      const value = (...args: readonly unknown[]): unknown => send(name, args);
      Object.defineProperty(response, name, { value, configurable: true, writable: true, enumerable: false });
    }
  }
}

type Method = (...args: readonly unknown[]) => unknown;

const methodOf = (target: object, name: string): Method => Reflect.get(target, name) as Method;

interface HeadHook {
  readonly before: () => void;
  readonly after: () => void;
}

const HEAD_HOOK = Symbol.for('nestjs-lane-cache.head-hook');
const WATCHES_HEADS = Symbol.for('nestjs-lane-cache.watches-heads');

/**
 * Lets the responses of an Express app call a hook when their head is written. It stands behind all that middleware such
 * as express-session puts in front of `writeHead`, so that a cookie that is set there is seen.
 */
export function watchHeadsOf(instance: unknown): void {
  const responses: unknown =
    typeof instance === 'function' || typeof instance === 'object'
      ? Reflect.get(Object(instance), 'response')
      : undefined;
  if (typeof responses !== 'object' || responses === null || Object.hasOwn(responses, WATCHES_HEADS)) return;
  const target: object = responses;
  if (typeof Reflect.get(target, 'writeHead') !== 'function') return;
  const original = methodOf(target, 'writeHead');
  Object.defineProperty(target, WATCHES_HEADS, { value: true });
  Object.defineProperty(target, 'writeHead', { value: hooked(original), configurable: true, writable: true });
}

/** Calls the hook once. 'others-follow' = code that was there before runs after it, and may still set headers. */
function watchHead(raw: NodeResponse, hook: HeadHook): 'last' | 'others-follow' {
  Object.defineProperty(raw, HEAD_HOOK, { value: hook, configurable: true, writable: true });
  if (WATCHES_HEADS in raw) return 'last';
  const order = Object.hasOwn(raw, 'writeHead') ? 'others-follow' : 'last';
  const value = hooked(methodOf(raw, 'writeHead'));
  Object.defineProperty(raw, 'writeHead', { value, configurable: true, writable: true });
  return order;
}

function hooked(original: Method): (this: NodeResponse, ...args: readonly unknown[]) => unknown {
  return function writeHead(this: NodeResponse, ...args: readonly unknown[]): unknown {
    const hook = Reflect.get(this, HEAD_HOOK) as HeadHook | undefined;
    if (hook === undefined) return Reflect.apply(original, this, args);
    Reflect.set(this, HEAD_HOOK, undefined);
    const given = withoutHeaders(this, args);
    hook.before();
    const result = Reflect.apply(original, this, given);
    hook.after();
    return result;
  };
}

/** Sets status and headers that `writeHead` is given, so that the hook sees them; its other arguments. */
function withoutHeaders(response: NodeResponse, args: readonly unknown[]): readonly unknown[] {
  const [status] = args;
  if (typeof status === 'number') response.statusCode = status;
  const headers = args.at(-1);
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) return args;
  for (const [name, value] of Object.entries<HeaderValue | undefined>({ ...headers })) {
    if (value !== undefined) response.setHeader(name, value);
  }
  return args.slice(0, -1);
}
