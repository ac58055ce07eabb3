import {
  Body,
  Controller,
  Get,
  Header,
  HttpCode,
  Inject,
  Injectable,
  Post,
  Query,
  UseGuards,
  UnsupportedMediaTypeException,
  UseInterceptors,
  VERSION_NEUTRAL,
  type CanActivate,
  type ExecutionContext,
  type Type,
} from '@nestjs/common';
import type { LaneManager } from '../cache/lane-manager.js';
import { CheckpointService } from '../checkpoints/checkpoint-service.js';
import type { CheckpointPage, CheckpointStatus, CleanupReport } from '../checkpoints/checkpoint.js';
import type { LaneMetrics } from '../events/lane-metrics.js';
import { LANE_CACHE } from '../lanes/policy.js';
import { LaneCacheMetrics, type MetricsReport } from '../metrics/lane-cache-metrics.js';
import { readCleanup, readClear, readInvalidation, readPage, readWorkflow } from './operation-input.js';
import { TypedErrors } from './typed-errors.js';

/** The path of the controller, and the guards that decide who may use it. */
export interface ControllerSettings {
  readonly path: string;
  readonly guards: readonly (Type<CanActivate> | CanActivate)[];
}

/** What a POST did. */
export interface OperationResult {
  /** Absent for tags, which reach all lanes. */
  readonly lane?: string;
  /** How many entries were removed; absent where they are not counted. */
  readonly removed?: number;
}

/**
 * The controller of one app. Without guards it shows numbers only, and nothing that names an entry or a checkpoint.
 * With guards it also lists checkpoints and takes commands.
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

/**
 * Lets only JSON bodies in. A page of another site can make a browser send a form with the user's cookies, but JSON
 * only after a preflight request.
 */
@Injectable()
class JsonBodies implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { headers } = context
      .switchToHttp()
      .getRequest<{ readonly headers: Readonly<Record<string, string | undefined>> }>();
    const type = headers['content-type']?.split(';')[0] ?? '';
    if (type.trim().toLowerCase() === 'application/json') return true;
    throw new UnsupportedMediaTypeException('Send JSON: content-type: application/json.');
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
    const invalidation = readInvalidation(body);
    if ('tags' in invalidation) {
      await this.cache.invalidateByTag(...invalidation.tags);
      return {};
    }
    const lane = this.laneOf(invalidation);
    const removed =
      'key' in invalidation
        ? Number(await lane.invalidate(invalidation.key))
        : await lane.invalidateByPattern(invalidation.pattern);
    return { lane: lane.lane, removed };
  }

  @Post('cleanup')
  @HttpCode(200)
  @UseGuards(JsonBodies)
  cleanup(@Body() body: unknown): Promise<CleanupReport> {
    return this.checkpoints.cleanupOldCheckpoints(readCleanup(body));
  }

  @Post('workflows/invalidate')
  @HttpCode(200)
  @UseGuards(JsonBodies)
  async invalidateWorkflow(@Body() body: unknown): Promise<OperationResult> {
    return { removed: await this.checkpoints.invalidateWorkflow(readWorkflow(body)) };
  }

  @Post('workflows/finish')
  @HttpCode(200)
  @UseGuards(JsonBodies)
  async finishWorkflow(@Body() body: unknown): Promise<OperationResult> {
    await this.checkpoints.finish(readWorkflow(body));
    return {};
  }

  private laneOf({ lane }: { readonly lane?: string }): LaneManager {
    return lane === undefined ? this.cache : this.cache.forLane(lane);
  }
}
