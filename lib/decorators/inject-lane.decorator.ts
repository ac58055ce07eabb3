import { Inject } from '@nestjs/common';
import { getLaneToken, type LaneName } from '../lanes/policy.js';

/**
 * Injects the manager of one lane, as a constructor parameter or a property.
 * With `forRootAsync`, lanes that the app defines must be listed in `laneNames`.
 *
 * @example
 * ```ts
 * class SearchService {
 *   constructor(@InjectLane('heavy') private readonly heavy: CacheManager) {}
 * }
 * ```
 */
export function InjectLane(lane: LaneName): ParameterDecorator & PropertyDecorator {
  return Inject(getLaneToken(lane));
}
