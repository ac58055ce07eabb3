import {
  Controller,
  Get,
  Header,
  HttpCode,
  Inject,
  Post,
  Query,
  Body,
  Res,
  UseGuards,
  UseInterceptors,
  VERSION_NEUTRAL,
  type CanActivate,
  type Type,
} from '@nestjs/common';
import { LaneCacheMetrics } from '../metrics/lane-cache-metrics.js';
import { LANE_CACHE_OPERATIONS, type Operations } from '../operations/operations.js';
import { JsonBodies, NoOtherOrigin } from './action-guards.js';
import { type PlatformReply, sendNumbers } from './event-stream.js';
import { LiveNumbers } from './live-numbers.js';
import { describeForOpenApi } from './open-api.js';
import { methodOf, type OperationRoute, type Role, routesFor } from './operation-routes.js';
import { TypedErrors } from './typed-errors.js';

/** The path of the controller, and the guards that decide who may use it. */
export interface ControllerSettings {
  readonly path: string;
  readonly guards: readonly (Type<CanActivate> | CanActivate)[];
}

/**
 * The controller of one app. Without guards it shows numbers only, and nothing that names an entry or a checkpoint.
 * With guards it also lists entries and checkpoints, and takes commands.
 */
export function metricsController({ path, guards }: ControllerSettings): Type<object> {
  const role: Role = guards.length === 0 ? 'open' : 'guarded';
  class LaneCacheController extends FixedRoutes {}
  for (const route of routesFor(role)) declareRoute(LaneCacheController, route, role);
  Controller({ path, version: VERSION_NEUTRAL })(LaneCacheController);
  UseInterceptors(TypedErrors)(LaneCacheController);
  if (guards.length > 0) UseGuards(...guards)(LaneCacheController);
  describeForOpenApi(LaneCacheController, routesFor(role));
  return LaneCacheController;
}

/** What does not answer JSON. */
class FixedRoutes {
  constructor(
    @Inject(LANE_CACHE_OPERATIONS) readonly operations: Operations,
    @Inject(LaneCacheMetrics) private readonly numbers: LaneCacheMetrics,
    @Inject(LiveNumbers) private readonly live: LiveNumbers,
  ) {}

  @Get('metrics/prometheus')
  @Header('Cache-Control', 'no-store')
  @Header('Content-Type', 'text/plain; version=0.0.4; charset=utf-8')
  prometheus(): Promise<string> {
    return this.numbers.prometheus();
  }

  @Get('events')
  events(@Res() reply: PlatformReply): void {
    sendNumbers(reply, this.live);
  }
}

/** Adds the method that answers a route, with the decorators that it would have in the source. */
function declareRoute(type: Type<FixedRoutes>, route: OperationRoute, role: Role): void {
  const name = methodOf(route);
  const answer = async function (this: FixedRoutes, input: unknown): Promise<unknown> {
    return route.answer(this.operations, input, role);
  };
  const method: PropertyDescriptor = { value: answer, writable: true, configurable: true };
  const prototype: object = type.prototype;
  Object.defineProperty(prototype, name, method);
  // What compilers write of a parameter of type unknown. Others read it, such as @nestjs/swagger.
  Reflect.defineMetadata('design:paramtypes', [Object], prototype, name);
  Header('Cache-Control', 'no-store')(prototype, name, method);
  if (route.method === 'GET') {
    Query()(prototype, name, 0);
    Get(route.path)(prototype, name, method);
    return;
  }
  Body()(prototype, name, 0);
  UseGuards(JsonBodies, NoOtherOrigin)(prototype, name, method);
  HttpCode(200)(prototype, name, method);
  Post(route.path)(prototype, name, method);
}
