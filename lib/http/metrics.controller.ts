import {
  Body,
  Controller,
  Get,
  Header,
  HttpCode,
  Inject,
  Post,
  Query,
  UseGuards,
  UseInterceptors,
  VERSION_NEUTRAL,
  type CanActivate,
  type Type,
} from '@nestjs/common';
import type { LaneManager } from '../cache/lane-manager.js';
import { CheckpointService } from '../checkpoints/checkpoint-service.js';
import type { CheckpointPage, CheckpointStatus, CleanupReport } from '../checkpoints/checkpoint.js';
import type { LaneMetrics } from '../events/lane-metrics.js';
import { LANE_CACHE } from '../lanes/policy.js';
import { LaneCacheMetrics, type MetricsReport } from '../metrics/lane-cache-metrics.js';
import { JsonBodies } from './stored-response.js';
import { readCleanup, readClear, readInvalidation, readPage } from './operation-input.js';
import { TypedErrors } from './typed-errors.js';

/** Where the controller answers, and whom. */
export interface ControllerSettings {
  readonly path: string;
  readonly guards: readonly (Type<CanActivate> | CanActivate)[];
}

/** What a POST did. */
export interface OperationResult {
  /** Absent for tags, which reach all lanes. */
  readonly lane?: string;
  /** How many entries went; absent where they are not counted. */
  readonly removed?: number;
}

/**
 * The controller of one app: without guards it shows numbers, and nothing that names an entry or a checkpoint; with
 * guards also what names them, and what changes things.
 */
export function metricsController({ path, guards }: ControllerSettings): Type<object> {
  const Routes: Type<object> = guards.length === 0 ? OpenRoutes : GuardedRoutes;
  class LaneCacheController extends Routes {}
  Controller({ path, version: VERSION_NEUTRAL })(LaneCacheController);
  UseInterceptors(TypedErrors)(LaneCacheController);
  if (guards.length > 0) UseGuards(...guards)(LaneCacheController);
  return LaneCacheController;
}

class NumberRoutes {
  constructor(
    @Inject(LaneCacheMetrics) private readonly metrics: LaneCacheMetrics,
    @Inject(CheckpointService) protected readonly checkpoints: CheckpointService,
    @Inject(LANE_CACHE) protected readonly cache: LaneManager,
  ) {}

  @Get('metrics')
  @Header('Cache-Control', 'no-store')
  report(@Query('lane') lane?: string): MetricsReport | LaneMetrics {
    return lane === undefined ? this.metrics.report() : this.metrics.lane(lane);
  }

  @Get('metrics/prometheus')
  @Header('Cache-Control', 'no-store')
  @Header('Content-Type', 'text/plain; version=0.0.4; charset=utf-8')
  prometheus(): Promise<string> {
    return this.metrics.prometheus();
  }
}

class OpenRoutes extends NumberRoutes {
  @Get('checkpoints')
  @Header('Cache-Control', 'no-store')
  status(): Promise<CheckpointStatus> {
    return this.checkpoints.getCheckpointCacheStatus();
  }
}

class GuardedRoutes extends NumberRoutes {
  @Get('checkpoints')
  @Header('Cache-Control', 'no-store')
  async list(@Query() query: unknown): Promise<CheckpointStatus & CheckpointPage> {
    const status = await this.checkpoints.getCheckpointCacheStatus();
    const page = status.state === 'on' ? await this.checkpoints.list(readPage(query)) : { items: [] };
    return { ...status, ...page };
  }

  @Post('clear')
  @HttpCode(200)
  @UseGuards(JsonBodies)
  async clear(@Body() body: unknown): Promise<OperationResult> {
    const lane = this.laneOf(readClear(body));
    await lane.clearAll();
    return { lane: lane.lane };
  }

  @Post('invalidate')
  @HttpCode(200)
  @UseGuards(JsonBodies)
  async invalidate(@Body() body: unknown): Promise<OperationResult> {
    const request = readInvalidation(body);
    if ('tags' in request) {
      await this.cache.invalidateByTag(...request.tags);
      return {};
    }
    const lane = this.laneOf(request);
    const removed =
      'key' in request ? Number(await lane.invalidate(request.key)) : await lane.invalidateByPattern(request.pattern);
    return { lane: lane.lane, removed };
  }

  @Post('cleanup')
  @HttpCode(200)
  @UseGuards(JsonBodies)
  cleanup(@Body() body: unknown): Promise<CleanupReport> {
    return this.checkpoints.cleanupOldCheckpoints(readCleanup(body));
  }

  private laneOf({ lane }: { readonly lane?: string }): LaneManager {
    return lane === undefined ? this.cache : this.cache.forLane(lane);
  }
}
