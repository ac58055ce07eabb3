import { Inject, Injectable } from '@nestjs/common';
import type { LaneManager } from '../cache/lane-manager.js';
import { CheckpointService } from '../checkpoints/checkpoint-service.js';
import { TIER_NAMES, type TierName } from '../entries/tier-name.js';
import type { TierOffReason } from '../events/reasons.js';
import { LANE_CACHE, type LaneName } from '../lanes/policy.js';
import { LaneCacheMetrics } from '../metrics/lane-cache-metrics.js';
import { flag, names, defineOptions } from '../options/options-shape.js';

/** Which lanes are checked, and how strictly. */
export interface HealthOptions {
  /** Default: all lanes. */
  readonly lanes?: readonly LaneName[];
  /** Down also when a tier of these lanes is off and the options did not say so. Default false. */
  readonly strict?: boolean;
}

/** What terminus takes as the result of a check, by the key it was asked under. */
export type HealthResult = Record<string, { readonly status: 'up' | 'down' } & Record<string, unknown>>;

const HEALTH_OPTIONS = defineOptions<HealthOptions>('isHealthy', { lanes: names, strict: flag });

/** Off, because the options say so. */
const INTENDED: ReadonlySet<TierOffReason | undefined> = new Set(['policy', 'no-directory']);
/** Another process serves checkpoints, or this one is about to end. */
const ELSEWHERE: ReadonlySet<TierOffReason | undefined> = new Set(['in-use', 'closed']);

/**
 * Health of the cache for `@nestjs/terminus`: `() => laneCache.isHealthy('cache')` among the checks.
 *
 * Down when checkpoints are off by a fault: work would be lost. A tier that is off is reported and not down, since the
 * app goes on without it, unless `strict`.
 *
 * @example
 * ```ts
 * class HealthController {
 *   constructor(private readonly health: HealthCheckService, private readonly laneCache: LaneCacheHealthIndicator) {}
 *
 *   check() {
 *     return this.health.check([() => this.laneCache.isHealthy('cache')]);
 *   }
 * }
 * ```
 */
@Injectable()
export class LaneCacheHealthIndicator {
  constructor(
    @Inject(LANE_CACHE) private readonly cache: LaneManager,
    @Inject(LaneCacheMetrics) private readonly metrics: LaneCacheMetrics,
    @Inject(CheckpointService) private readonly checkpoints: CheckpointService,
  ) {}

  /** Rejects with UnknownLaneError only. */
  async isHealthy(key: string, options?: HealthOptions): Promise<HealthResult> {
    const { lanes, strict = false } = HEALTH_OPTIONS.read(options);
    const checked = lanes ?? Object.keys(this.metrics.report().lanes);
    const off = checked.map((lane) => [lane, this.tiersOff(this.cache.forLane(lane).lane)] as const);
    const { state, reason } = await this.checkpoints.getCheckpointCacheStatus();
    const isFaulty = state === 'off' && !INTENDED.has(reason) && !ELSEWHERE.has(reason);
    const isDown =
      isFaulty || (strict && off.some(([, tiers]) => Object.values(tiers).some((why) => !INTENDED.has(why))));
    return {
      [key]: {
        status: isDown ? 'down' : 'up',
        checkpoints: state === 'on' ? 'on' : { off: reason ?? 'unknown' },
        lanes: Object.fromEntries(off.map(([lane, tiers]) => [lane, { off: tiers }])),
      },
    };
  }

  private tiersOff(lane: string): Readonly<Partial<Record<TierName, TierOffReason>>> {
    const metrics = this.metrics.lane(lane);
    const off: Partial<Record<TierName, TierOffReason>> = {};
    for (const tier of TIER_NAMES) {
      const { state, reason } = metrics[tier];
      if (state === 'off') off[tier] = reason ?? 'closed';
    }
    return off;
  }
}
