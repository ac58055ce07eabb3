import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { LaneReport, WorkerMessage } from './messages.js';
import type { Progress } from './progress.js';

const WORKER = fileURLToPath(new URL('./worker.js', import.meta.url));

export interface RunReport {
  readonly run: string;
  readonly lanes: readonly LaneReport[];
}

export interface Process {
  readonly caching: 'cached' | 'uncached';
  readonly runs: readonly string[];
}

/** Starts one process, waits for its end, and returns what its runs reported. */
export function runProcess(
  library: string,
  directory: string,
  work: Process,
  progress: Progress,
): Promise<RunReport[]> {
  return new Promise((resolve, reject) => {
    const reports: RunReport[] = [];
    const worker = fork(WORKER, [library, directory, work.caching, ...work.runs]);
    worker.on('message', (message: WorkerMessage) => {
      if (message.type === 'progress') progress.show(message.run, message.lane, message.done, message.total);
      else reports.push(message);
    });
    worker.on('error', reject);
    worker.on('exit', (code, signal) => {
      progress.end();
      if (code === 0 && reports.length === work.runs.length) resolve(reports);
      else reject(new Error(`The process of run '${work.runs.join(', ')}' ended with ${signal ?? code}`));
    });
  });
}
