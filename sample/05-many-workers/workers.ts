import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Order, Report } from './messages.js';

const WORKER = fileURLToPath(new URL('./worker.js', import.meta.url));

/** The workers of the app. Those that have ended count on in `reports`. */
export class Workers {
  private readonly running: Worker[] = [];
  private readonly ended: Report[] = [];
  port = 0;

  constructor(args: readonly string[]) {
    cluster.setupPrimary({ exec: WORKER, args: [...args] });
  }

  /** Resolves when the new worker takes requests. */
  async start(): Promise<Worker> {
    const worker = cluster.fork();
    const [{ port }] = (await once(worker, 'listening')) as [{ port: number }];
    this.port = port;
    this.running.push(worker);
    return worker;
  }

  get all(): readonly Worker[] {
    return this.running;
  }

  /** As a deploy does: the next worker takes requests before this one ends. */
  async replace(worker: Worker): Promise<void> {
    await this.start();
    await this.end(worker, () => worker.send('stop' satisfies Order));
  }

  /** As the system does when memory runs out: nothing is closed. */
  async kill(worker: Worker): Promise<void> {
    await this.end(worker, () => worker.process.kill('SIGKILL'));
  }

  async stop(): Promise<void> {
    for (const worker of [...this.running]) await this.end(worker, () => worker.send('stop' satisfies Order));
  }

  /** Of the workers that run, in the order in which they were started. */
  reports(): Promise<Report[]> {
    return Promise.all(this.running.map((worker) => reportOf(worker)));
  }

  /** Resolves when L3 has what the workers have computed. It is stored behind the answers. */
  async flush(): Promise<void> {
    await Promise.all(this.running.map((worker) => reportOf(worker, 'flush')));
  }

  /** How often the workers have computed, those included that have ended. */
  async computed(): Promise<number> {
    return [...this.ended, ...(await this.reports())].reduce((sum, { computed }) => sum + computed, 0);
  }

  private async end(worker: Worker, end: () => void): Promise<void> {
    this.ended.push(await reportOf(worker));
    this.running.splice(this.running.indexOf(worker), 1);
    const exit = once(worker, 'exit');
    end();
    await exit;
  }
}

async function reportOf(worker: Worker, order: Order = 'report'): Promise<Report> {
  const answer = once(worker, 'message') as Promise<[Report]>;
  worker.send(order);
  const [report] = await answer;
  return report;
}
