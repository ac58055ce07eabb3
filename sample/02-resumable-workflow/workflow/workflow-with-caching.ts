import type { CacheManager } from 'nestjs-lane-cache';
import type { Job } from './job.js';
import { WorkflowManager } from './workflow-manager.js';

/**
 * A workflow that can be killed at any moment: started again, it continues after the last saved step. Several processes may
 * run it at once. One of them runs a step, and the others wait for its result.
 */
export class WorkflowWithCaching<R> extends WorkflowManager<R> {
  constructor(
    workflowId: string,
    job: Job<R>,
    private readonly cache: CacheManager,
  ) {
    super(workflowId, job);
  }

  override async run(): Promise<readonly R[]> {
    const results = await super.run();
    await this.cache.snapshots.finish(this.workflowId);
    return results;
  }

  override executeStep(step: number): Promise<R> {
    const checkpointId = `${this.workflowId}_step_${step}`;
    const options = { workflow: this.workflowId, step, exclusive: true } as const;
    return this.cache.snapshots.runStep(checkpointId, () => super.executeStep(step), options);
  }

  /** The next run begins at the first step. A step that still runs elsewhere cannot save any more. */
  async startOver(): Promise<void> {
    await this.cache.snapshots.invalidateWorkflow(this.workflowId);
  }
}
