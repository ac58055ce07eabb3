import type { HttpAdapterHost } from '@nestjs/core';
import type { CronJob } from 'cron';
import type { LaneManager } from '../cache/lane-manager.js';
import { DEFAULT_CONCURRENCY } from '../cache/warm.js';
import { nextTurn } from '../clock/clock.js';
import { decoratorError, siteLabel, type DecoratedMethod, type WarmRule } from './method-registry.js';

/** A method to warm, of one instance. */
interface WarmPlan {
  readonly method: DecoratedMethod;
  readonly rule: WarmRule;
  readonly host: object;
}

/** Warms decorated methods behind the start of the app, and by cron. Nothing runs before the app serves. */
export class WarmUp {
  private readonly plans: WarmPlan[] = [];
  private jobs: readonly CronJob[] = [];
  private readonly running = new Set<WarmPlan>();
  private readonly stopping = new AbortController();

  constructor(
    private readonly manager: LaneManager,
    private readonly http: HttpAdapterHost | undefined,
  ) {}

  add(method: DecoratedMethod, host: object): void {
    const rule = method.cached?.warm;
    if (rule !== undefined) this.plans.push({ method, rule, host });
  }

  /** Loads `cron` if a rule names a time. Rejects with DECORATOR_INVALID for a cron expression that is none. */
  async prepare(): Promise<void> {
    if (this.plans.every(({ rule }) => rule.at === undefined)) return;
    const cron = await import('cron');
    this.jobs = this.plans.flatMap((plan) => this.jobsOf(plan, cron.CronJob));
  }

  /** Once the app has been initialized. */
  start(): void {
    if (this.plans.length === 0) return;
    this.whenServing(() => {
      if (this.stopping.signal.aborted) return;
      for (const job of this.jobs) job.start();
      for (const plan of this.plans) void this.run(plan);
    });
  }

  /** Begins nothing more. What is being computed is left to the cache's own end. */
  async stop(): Promise<void> {
    this.stopping.abort();
    for (const job of this.jobs) await job.stop();
  }

  /** An app with a server serves once that listens; another one after its start. */
  private whenServing(start: () => void): void {
    const server: unknown = this.http?.httpAdapter?.getHttpServer();
    if (!isServer(server)) void nextTurn().then(start);
    else if (server.listening) start();
    else server.once('listening', () => void nextTurn().then(start));
  }

  /** Never rejects. A run that is due while the last one goes on is left out. */
  private async run(plan: WarmPlan): Promise<void> {
    const { method, rule, host } = plan;
    if (this.running.has(plan) || this.stopping.signal.aborted) return;
    this.running.add(plan);
    const source = siteLabel(method.site);
    const lane = method.lane === undefined ? this.manager : this.manager.forLane(method.lane);
    try {
      const items = checkCalls(await Reflect.apply(rule.args, host, []));
      const concurrency = rule.concurrency ?? DEFAULT_CONCURRENCY;
      const warm = (args: readonly unknown[]): Promise<'computed' | 'present'> => warmCall(plan, lane, args);
      await lane.warmCalls({ source, items, concurrency, signal: this.stopping.signal, warm });
    } catch (error) {
      const detail = `The calls to warm of ${source} are not known, and none was computed.`;
      lane.fault({ collaborator: 'decorator', lane: lane.lane, detail, error });
    } finally {
      this.running.delete(plan);
    }
  }

  private jobsOf(plan: WarmPlan, job: typeof CronJob): readonly CronJob[] {
    const { at } = plan.rule;
    if (at === undefined) return [];
    try {
      const onTick = (): Promise<void> => this.run(plan);
      return [job.from({ cronTime: at, onTick, unrefTimeout: true, waitForCompletion: true })];
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : 'it cannot be parsed';
      throw decoratorError(plan.method.site, `warm.at '${at}' is no cron expression: ${why}.`);
    }
  }
}

async function warmCall(
  { method, host }: WarmPlan,
  lane: LaneManager,
  args: readonly unknown[],
): Promise<'computed' | 'present'> {
  const key = method.cached?.keyFor({ host, args }, lane);
  if (key !== undefined && (await lane.has(key))) return 'present';
  const run: unknown = Reflect.get(host, method.site.method);
  if (typeof run === 'function') await Reflect.apply(run, host, args);
  return 'computed';
}

function checkCalls(calls: unknown): readonly (readonly unknown[])[] {
  if (Array.isArray(calls) && calls.every((args): args is unknown[] => Array.isArray(args))) return calls;
  throw new TypeError('warm.args must give a list of lists of arguments, such as [[1], [2]].');
}

interface Server {
  readonly listening: boolean;
  once(event: 'listening', listener: () => void): unknown;
}

const isServer = (value: unknown): value is Server =>
  typeof value === 'object' && value !== null && 'listening' in value && 'once' in value;
