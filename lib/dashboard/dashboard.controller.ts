import {
  Body,
  Controller,
  Get,
  Inject,
  Param,
  NotFoundException,
  Post,
  Query,
  Req,
  Res,
  UseGuards,
  UseInterceptors,
  VERSION_NEUTRAL,
  type CanActivate,
  type Type,
} from '@nestjs/common';
import { ApplicationConfig, HttpAdapterHost } from '@nestjs/core';
import { JsonBodies, SameOrigin } from '../http/action-guards.js';
import { type PlatformReply, rawOf, sendNumbers } from '../http/event-stream.js';
import { LiveNumbers } from '../http/live-numbers.js';
import { hideFromOpenApi } from '../http/open-api.js';
import { methodOf, type OperationRoute, type Role, routesFor } from '../http/operation-routes.js';
import { TypedErrors } from '../http/typed-errors.js';
import { LANE_CACHE_OPERATIONS, type Operations } from '../operations/operations.js';
import type { PageFiles } from './page-files.js';
import { Trend } from './trend.js';

/** Where the page is, and who may see what. */
export interface DashboardSettings {
  readonly path: string;
  readonly guards: readonly (Type<CanActivate> | CanActivate)[];
  /** Whether values and states are shown to those whom the guards let in. */
  readonly peek: boolean;
}

/** What is used of a request of Express or Fastify. */
interface PlatformRequest {
  readonly url: string;
  /** The whole path, where `url` is that below a mounted router. */
  readonly originalUrl?: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

interface FastifyConfig {
  readonly ignoreTrailingSlash?: boolean;
  readonly routerOptions?: { readonly ignoreTrailingSlash?: boolean };
}

/** Who the page is for, as the page itself asks. */
export interface Access {
  readonly role: Role;
}

const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const HEADERS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'content-security-policy': PAGE_POLICY,
  'x-frame-options': 'DENY',
};

/** Names of files carry a hash of what they hold, but for the page itself. */
const INDEX = 'index.html';

/**
 * The page, its files, and what it asks, below one path. It answers past the interceptors of the app, which may wrap or
 * cache what others send.
 */
export function dashboardController({ path, guards, peek }: DashboardSettings): Type<object> {
  const role: Role = guards.length === 0 ? 'open' : peek ? 'peek' : 'guarded';
  class LaneCacheDashboardController extends Page {
    protected override readonly role = role;
    protected override readonly path = path;
  }
  for (const route of routesFor(role)) declareRoute(LaneCacheDashboardController, route, role);
  Controller({ path, version: VERSION_NEUTRAL })(LaneCacheDashboardController);
  UseInterceptors(TypedErrors)(LaneCacheDashboardController);
  if (guards.length > 0) UseGuards(...guards)(LaneCacheDashboardController);
  hideFromOpenApi(LaneCacheDashboardController);
  return LaneCacheDashboardController;
}

abstract class Page {
  protected abstract readonly role: Role;
  protected abstract readonly path: string;

  /** Loaded when the page is first asked for. */
  private files: Promise<PageFiles> | undefined;

  constructor(
    @Inject(LANE_CACHE_OPERATIONS) readonly operations: Operations,
    @Inject(LiveNumbers) private readonly live: LiveNumbers,
    @Inject(Trend) private readonly trend: Trend,
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
    @Inject(ApplicationConfig) private readonly config: ApplicationConfig,
  ) {}

  /** Fastify treats paths with and without a slash at their end as different, and Nest declares none with one. */
  onModuleInit(): void {
    const { httpAdapter } = this.host;
    const { initialConfig }: { readonly initialConfig?: FastifyConfig } = Object(httpAdapter?.getInstance());
    if (initialConfig === undefined) return;
    if (initialConfig.ignoreTrailingSlash === true || initialConfig.routerOptions?.ignoreTrailingSlash === true) return;
    const parts = [this.config.getGlobalPrefix(), this.path].flatMap((path) => path.split('/'));
    const path = `/${parts.filter((part) => part !== '').join('/')}/`;
    // What it answers says nothing, so that it needs no guards.
    httpAdapter.get(path, (_: unknown, reply: PlatformReply) => redirect(reply, INDEX));
  }

  /** The links of the page are relative, so it has to be below a slash. */
  @Get()
  async index(@Req() request: PlatformRequest, @Res() reply: PlatformReply): Promise<void> {
    const [url = ''] = (request.originalUrl ?? request.url).split('?');
    if (url.endsWith('/')) return this.file(INDEX, request, reply);
    const folder = this.path.split('/').findLast((part) => part !== '') ?? '';
    redirect(reply, 'raw' in reply ? `${folder}/${INDEX}` : `${folder}/`);
  }

  @Get('api/access')
  access(@Res() reply: PlatformReply): void {
    sendJson(reply, { role: this.role } satisfies Access);
  }

  @Get('api/trend')
  lastHour(@Res() reply: PlatformReply): void {
    sendJson(reply, this.trend.report());
  }

  @Get('api/events')
  events(@Res() reply: PlatformReply): void {
    sendNumbers(reply, this.live);
  }

  @Get(':file')
  async file(@Param('file') name: string, @Req() request: PlatformRequest, @Res() reply: PlatformReply): Promise<void> {
    this.files ??= import('./page-files.js').then(({ loadPage }) => loadPage());
    const file = (await this.files).get(name);
    if (file === undefined) throw new NotFoundException();
    const isZipped = String(request.headers['accept-encoding'] ?? '').includes('gzip');
    const response = rawOf(reply);
    response.writeHead(200, {
      ...HEADERS,
      'content-type': file.type,
      'cache-control': name === INDEX ? 'private, no-cache' : 'private, max-age=31536000, immutable',
      vary: 'accept-encoding',
      ...(isZipped && { 'content-encoding': 'gzip' }),
    });
    response.end(isZipped ? file.gzip : file.plain);
  }
}

/** Relative: a proxy may have put the app below another path. */
function redirect(reply: PlatformReply, location: string): void {
  const response = rawOf(reply);
  response.writeHead(302, { ...HEADERS, location, 'cache-control': 'no-store' });
  response.end();
}

/** Adds the method that answers a route below `api`. */
function declareRoute(type: Type<Page>, route: OperationRoute, role: Role): void {
  const name = methodOf(route);
  const answer = async function (this: Page, input: unknown, reply: PlatformReply): Promise<void> {
    sendJson(reply, await route.answer(this.operations, input, role));
  };
  const method: PropertyDescriptor = { value: answer, writable: true, configurable: true };
  const prototype: object = type.prototype;
  Object.defineProperty(prototype, name, method);
  Reflect.defineMetadata('design:paramtypes', [Object, Object], prototype, name);
  Res()(prototype, name, 1);
  if (route.method === 'GET') {
    Query()(prototype, name, 0);
    Get(`api/${route.path}`)(prototype, name, method);
    return;
  }
  Body()(prototype, name, 0);
  UseGuards(JsonBodies, SameOrigin)(prototype, name, method);
  Post(`api/${route.path}`)(prototype, name, method);
}

function sendJson(reply: PlatformReply, body: unknown): void {
  const response = rawOf(reply);
  response.writeHead(200, {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(JSON.stringify(body));
}
