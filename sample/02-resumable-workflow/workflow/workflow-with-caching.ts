import type { CacheManager } from 'nestjs-lane-cache';
import type { Job } from './job.js';
import { WorkflowManager } from './workflow-manager.js';

export type StepEvent = 'restored' | 'started' | 'saved';

/** A workflow that can be killed at any moment: started again, it continues after the last saved step. */
export class WorkflowWithCaching<R> extends WorkflowManager<R> {
  constructor(
    workflowId: string,
    job: Job<R>,
    private readonly cache: CacheManager,
    private readonly tell: (event: StepEvent, step: number) => void,
  ) {
    super(workflowId, job);
  }

  override async executeStep(step: number): Promise<R> {
    const checkpointId = `${this.workflowId}_step_${step}`;

    const saved = await this.cache.snapshots.restoreCheckpoint<R>(checkpointId);
    if (saved !== undefined) {
      this.tell('restored', step);
      return saved;
    }

    this.tell('started', step);
    const result = await super.executeStep(step);
    await this.cache.snapshots.cacheCheckpoint(checkpointId, result, {
      workflow: this.workflowId,
      step,
      metadata: { name: this.stepOf(step).name },
    });
    this.tell('saved', step);
    return result;
  }
}
