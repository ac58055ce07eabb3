import type { Job } from './job.js';

/** Runs a job from its first step to its last. Steps count from 1. */
export class WorkflowManager<R> {
  private readonly results: R[] = [];

  constructor(
    readonly workflowId: string,
    protected readonly job: Job<R>,
  ) {}

  /** The result of every step. */
  async run(): Promise<readonly R[]> {
    for (let step = this.results.length + 1; step <= this.job.steps.length; step += 1) {
      this.results.push(await this.executeStep(step));
    }
    return this.results;
  }

  executeStep(step: number): Promise<R> {
    return this.stepOf(step).run(this.results);
  }

  protected stepOf(step: number): Job<R>['steps'][number] {
    const found = this.job.steps[step - 1];
    if (found === undefined) throw new Error(`The workflow '${this.workflowId}' has no step ${step}`);
    return found;
  }
}
