import type { Clock } from '../clock/clock.js';
import { withDeadline } from '../clock/timers.js';
import type { IpcConnection } from './client.js';
import type { Operations } from '../operations/operations.js';

/** The operations of the app that owns the directory. What is done at once is given up when it takes too long. */
export class RemoteOperations implements Operations {
  constructor(
    private readonly connection: IpcConnection,
    private readonly clock: Clock,
    private readonly deadlineMs: number,
  ) {}

  readonly describe: Operations['describe'] = () => this.soon('describe');
  readonly metrics: Operations['metrics'] = () => this.soon('metrics');
  readonly instances: Operations['instances'] = () => this.soon('instances');
  readonly status: Operations['status'] = () => this.soon('status');
  readonly doctor: Operations['doctor'] = (...args) => this.soon('doctor', ...args);
  readonly search: Operations['search'] = (...args) => this.soon('search', ...args);
  readonly top: Operations['top'] = (...args) => this.soon('top', ...args);
  readonly preview: Operations['preview'] = (...args) => this.soon('preview', ...args);
  readonly value: Operations['value'] = (...args) => this.soon('value', ...args);
  readonly pinCheckpoint: Operations['pinCheckpoint'] = (...args) => this.soon('pinCheckpoint', ...args);
  readonly unpinCheckpoint: Operations['unpinCheckpoint'] = (...args) => this.soon('unpinCheckpoint', ...args);
  readonly forkCheckpoint: Operations['forkCheckpoint'] = (...args) => this.soon('forkCheckpoint', ...args);
  readonly explain: Operations['explain'] = (...args) => this.soon('explain', ...args);
  readonly entries: Operations['entries'] = (...args) => this.connection.parts('entries', ...args);
  readonly clear: Operations['clear'] = (...args) => this.connection.call('clear', ...args);
  readonly invalidateKey: Operations['invalidateKey'] = (...args) => this.soon('invalidateKey', ...args);
  readonly invalidatePattern: Operations['invalidatePattern'] = (...args) =>
    this.connection.call('invalidatePattern', ...args);
  readonly invalidateTags: Operations['invalidateTags'] = (...args) => this.soon('invalidateTags', ...args);
  readonly cleanup: Operations['cleanup'] = (...args) => this.connection.call('cleanup', ...args);
  readonly cleaning: Operations['cleaning'] = (...args) => this.connection.parts('cleaning', ...args);
  readonly invalidateWorkflow: Operations['invalidateWorkflow'] = (...args) =>
    this.connection.call('invalidateWorkflow', ...args);
  readonly finishWorkflow: Operations['finishWorkflow'] = (...args) => this.soon('finishWorkflow', ...args);
  readonly checkpoints: Operations['checkpoints'] = (...args) => this.soon('checkpoints', ...args);
  readonly history: Operations['history'] = (...args) => this.soon('history', ...args);
  readonly checkpoint: Operations['checkpoint'] = (...args) => this.soon('checkpoint', ...args);
  readonly removeCheckpoint: Operations['removeCheckpoint'] = (...args) =>
    this.connection.call('removeCheckpoint', ...args);
  readonly verify: Operations['verify'] = (...args) => this.connection.parts('verify', ...args);
  readonly measure: Operations['measure'] = (...args) => this.connection.call('measure', ...args);

  private soon<T>(call: keyof Operations, ...args: readonly unknown[]): Promise<T> {
    const owner = `process ${this.connection.ownerPid}, which owns the directory,`;
    return withDeadline(this.clock, this.connection.call<T>(call, ...args), this.deadlineMs, owner);
  }
}
