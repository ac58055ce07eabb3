import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Result, StepEvent, WorkerMessage } from './messages.js';
import type { Progress } from './progress.js';

const WORKER = fileURLToPath(new URL('./worker.js', import.meta.url));

/** The messages of one process, from its start to its end. */
export interface ProcessLog {
  readonly documents: number;
  readonly names: readonly string[];
  /** Steps in the order in which they were reported, by what happened to them. */
  readonly steps: Readonly<Record<StepEvent, readonly number[]>>;
  readonly result: Result | undefined;
  readonly signal: NodeJS.Signals | null;
  readonly wallMs: number;
}

export interface Run {
  readonly label: string;
  readonly library: string;
  readonly directory: string;
  readonly mode?: 'go-on' | 'start-over';
  /** Called when the process starts a step. True kills it with SIGKILL in the middle of the step. */
  readonly killIn?: (step: number, names: readonly string[]) => boolean;
}

/** Starts one process of the app and waits for its end. Rejects when it fails by itself. */
export function runProcess(run: Run, progress: Progress): Promise<ProcessLog> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const steps: Record<StepEvent, number[]> = { started: [], saved: [], restored: [], adopted: [], failed: [] };
    let documents = 0;
    let names: readonly string[] = [];
    let result: Result | undefined;
    const worker = fork(WORKER, [run.library, run.directory, run.mode ?? 'go-on']);
    worker.on('message', (message: WorkerMessage) => {
      if (message.type === 'steps') ({ documents, names } = message);
      else if (message.type === 'result') result = message.result;
      else {
        steps[message.type].push(message.step);
        if (message.type === 'started' && run.killIn?.(message.step, names) === true) worker.kill('SIGKILL');
        if (message.type !== 'started') progress.show(run.label, message.step, names.length);
      }
    });
    worker.on('error', reject);
    worker.on('close', (code, signal) => {
      progress.end();
      const wallMs = performance.now() - startedAt;
      if (code === 0 || signal !== null) resolve({ documents, names, steps, result, signal, wallMs });
      else reject(new Error(`The process of '${run.label}' ended with ${code}`));
    });
  });
}
