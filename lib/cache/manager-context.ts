import type { CheckpointService } from '../checkpoints/checkpoint-service.js';
import type { SweepReport } from '../events/event-map.js';
import type { MetricsReader } from '../events/lane-metrics.js';
import type { Invalidations } from './invalidate.js';
import type { LaneContext } from './lane-context.js';

/** What a manager shares with the managers of the other lanes. */
export interface ManagerContext {
  readonly invalidations: Invalidations;
  readonly metrics: MetricsReader;
  readonly checkpoints: CheckpointService;
  /** Throws UnknownLaneError. */
  readonly managerOf: (lane: string) => object;
  readonly laneContexts: () => Iterable<LaneContext>;
  readonly flush: () => Promise<void>;
  readonly sweep: () => Promise<SweepReport>;
  readonly close: () => Promise<void>;
}
