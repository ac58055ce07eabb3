import { AsyncLocalStorage } from 'node:async_hooks';
import { randomId, type Clock } from '../clock/clock.js';
import { KeepAlive } from '../clock/keep-alive.js';
import type { ValueCodec } from '../entries/codec/value-codec.js';
import { CheckpointConflictError, workflowInvalidated } from '../errors/checkpoint.errors.js';
import { isLaneCacheError, LaneCacheError } from '../errors/lane-cache.error.js';
import type { EventSink, LaneCacheEventMap } from '../events/event-map.js';
import { decodeState, type ValidVersion } from './checkpoint-restore.js';
import type { CheckpointSaver, PreparedSave } from './checkpoint-saver.js';
import { LEASE_MS, type StepStart } from './checkpoint-store.js';
import type { RestoreCheckpointOptions, SaveCheckpointOptions, StepOptions } from './checkpoint.js';

interface StepSettings {
  readonly clock: Clock;
  readonly codec: ValueCodec;
  readonly events: EventSink;
  readonly warn?: (message: string) => void;
}

/** What a step that runs holds, besides its function. */
interface Step {
  readonly id: string;
  readonly run: () => unknown;
  readonly options: StepOptions;
  /** Whether its function has been called. It is not called again because checkpoints cannot be used. */
  hasRun: boolean;
}

/** How a step ended. A saved result is given to each caller as a copy of its own. */
type Outcome =
  | { readonly kind: 'restored'; readonly version: ValidVersion }
  | { readonly kind: 'saved'; readonly value: unknown; readonly bytes: Uint8Array }
  | { readonly kind: 'unsaved'; readonly value: unknown };

/** What a step gave, ready to be saved. */
interface Result {
  readonly value: unknown;
  readonly prepared: PreparedSave;
  readonly durationMs: number;
}

/** A step under way in this process, and the other steps that it waits for. */
interface Running {
  readonly id: string;
  readonly outer: Running | undefined;
  readonly waitsFor: Set<Running>;
}

interface Started {
  readonly running: Running;
  readonly outcome: Promise<Outcome>;
}

type Restore = (id: string, options: RestoreCheckpointOptions) => Promise<ValidVersion | undefined>;

/** How long a step waits before it asks for the lease of another process again. */
const ASK_AGAIN_MS = 50;
const EXTEND_EVERY_MS = LEASE_MS / 3;
/** How often a result is offered again, after the version that was in its way had gone. */
const MAX_OFFERS = 16;

/**
 * Runs steps whose results are checkpoints. In one process concurrent callers share the run. Among processes the store
 * decides: a result is saved only if nothing was saved under the id since the step began.
 */
export class StepRunner {
  private readonly running = new Map<string, Started>();
  private readonly scopes = new AsyncLocalStorage<Running>();
  private readonly keepAlive = new KeepAlive();

  constructor(
    private readonly settings: StepSettings,
    private readonly saver: CheckpointSaver,
    private readonly restore: Restore,
  ) {}

  async run(id: string, run: () => unknown, options: StepOptions): Promise<unknown> {
    const outer = this.scopes.getStore();
    const current = this.running.get(id);
    if (current !== undefined) return this.join(current, outer);
    const running: Running = { id, outer, waitsFor: new Set() };
    const outcome = this.scopes.run(running, () => this.perform({ id, run, options, hasRun: false }));
    this.running.set(id, { running, outcome });
    outer?.waitsFor.add(running);
    try {
      const ended = await outcome;
      return ended.kind === 'saved' ? ended.value : this.copyOf(ended);
    } finally {
      this.running.delete(id);
      outer?.waitsFor.delete(running);
      // Up to Node.js 22 a storage slows every promise of the process until it is disabled. The next step enables it again.
      if (this.running.size === 0) this.scopes.disable();
    }
  }

  private async join({ running, outcome }: Started, outer: Running | undefined): Promise<unknown> {
    if (outer !== undefined && waitsForAnyOf(running, outer)) throw reentrant(running.id);
    outer?.waitsFor.add(running);
    try {
      return this.copyOf(await outcome);
    } finally {
      outer?.waitsFor.delete(running);
    }
  }

  private copyOf(outcome: Outcome): unknown {
    const { codec } = this.settings;
    if (outcome.kind === 'restored') return decodeState(codec, outcome.version);
    return outcome.kind === 'saved' ? codec.decode(outcome.bytes) : outcome.value;
  }

  private async perform(step: Step): Promise<Outcome> {
    try {
      const found = await this.restored(step, 'restored');
      if (found !== undefined) return found;
      return step.options.exclusive === true ? await this.runAlone(step) : await this.runAgainstOthers(step, undefined);
    } catch (error) {
      if (step.hasRun || !this.mayGoOn(step, error)) throw error;
      return { kind: 'unsaved', value: await step.run() };
    }
  }

  /** Whether the step goes on without its checkpoint after this error. Warns of it then. */
  private mayGoOn({ id, options }: Step, error: unknown): boolean {
    if (!isUnavailable(error) || options.onUnavailable !== 'run') return false;
    this.settings.warn?.(`The step '${id}' runs without its checkpoint: ${error.message}`);
    return true;
  }

  /** Takes the lease on the id, or waits for the result of the process that has it. */
  private async runAlone(step: Step): Promise<Outcome> {
    for (;;) {
      const token = randomId();
      const lease = await this.saver.write((store) => store.lease({ action: 'take', id: step.id, token }));
      if (!lease.isHeld) {
        await this.pause(Math.min(Math.max(lease.leftMs, 1), ASK_AGAIN_MS));
        const found = await this.restored(step, 'adopted');
        if (found !== undefined) return found;
        continue;
      }
      const outcome = await this.withLease(step, token);
      if (outcome !== undefined) return outcome;
    }
  }

  /** Undefined if the lease was lost, and with it the right to save. */
  private async withLease(step: Step, token: string): Promise<Outcome | undefined> {
    const { clock } = this.settings;
    const { id } = step;
    let cancel = (): void => undefined;
    const extend = (): void => {
      cancel = clock.schedule(EXTEND_EVERY_MS, () => {
        this.saver.write((store) => store.lease({ action: 'extend', id, token })).catch(() => undefined);
        extend();
      });
    };
    extend();
    try {
      return await this.runAgainstOthers(step, token);
    } catch (error) {
      if (error instanceof LeaseLost) return undefined;
      throw error;
    } finally {
      cancel();
      // A save has released it already. One that cannot be released ends by itself.
      await this.saver.write((store) => store.lease({ action: 'release', id, token })).catch(() => undefined);
    }
  }

  private async runAgainstOthers(step: Step, lease: string | undefined): Promise<Outcome> {
    const { id, options } = step;
    const now = this.settings.clock.now();
    const start = await this.saver.write((store) => store.begin(id, options.workflow, now));
    if (start.currentVersion > 0) {
      const found = await this.restored(step, 'adopted');
      if (found !== undefined) return found;
    }
    const { value, durationMs } = await this.timed(step);
    if (value === undefined) return { kind: 'unsaved', value };
    const prepared = this.prepare(step, value, durationMs);
    try {
      return await this.offer(step, { value, prepared, durationMs }, start, lease);
    } catch (error) {
      if (!this.mayGoOn(step, error)) throw error;
      return { kind: 'unsaved', value };
    }
  }

  /** Saves the result, or adopts the one that was saved meanwhile. */
  private async offer(
    step: Step,
    { value, prepared, durationMs }: Result,
    start: StepStart,
    lease: string | undefined,
  ): Promise<Outcome> {
    const { id, options } = step;
    const fence = { epoch: start.epoch, ...(lease !== undefined && { lease }) };
    let { currentVersion } = start;
    for (let offers = 0; offers < MAX_OFFERS; offers += 1) {
      const saved = await this.saver.save(prepared, { ...fence, expectedVersion: currentVersion });
      if (saved.outcome === 'saved') {
        this.emit(step, 'saved', { version: saved.record.version, durationMs });
        return { kind: 'saved', value, bytes: prepared.bytes };
      }
      if (saved.cause === 'workflow') throw workflowInvalidated(id, options.workflow ?? '', saved.currentVersion);
      if (saved.cause === 'lease') throw new LeaseLost();
      const found = await this.restored(step, 'adopted');
      if (found !== undefined) return found;
      ({ currentVersion } = saved);
    }
    throw new CheckpointConflictError(id, start.currentVersion, currentVersion);
  }

  private prepare({ id, options }: Step, value: unknown, durationMs: number): PreparedSave {
    const { lane, workflow, step, ttl } = options;
    const labels: SaveCheckpointOptions = {
      ...(lane !== undefined && { lane }),
      ...(workflow !== undefined && { workflow }),
      ...(step !== undefined && { step }),
      ...(ttl !== undefined && { ttl }),
    };
    const { draft, bytes } = this.saver.prepare(id, value, labels);
    return { draft: { ...draft, durationMs }, bytes };
  }

  private async timed(step: Step): Promise<{ readonly value: unknown; readonly durationMs: number }> {
    const { clock } = this.settings;
    this.emit(step, 'started');
    const startedAt = clock.monotonic();
    step.hasRun = true;
    try {
      const value = await step.run();
      return { value, durationMs: Math.round(clock.monotonic() - startedAt) };
    } catch (error) {
      this.emit(step, 'failed', { durationMs: Math.round(clock.monotonic() - startedAt) });
      throw error;
    }
  }

  private async restored(step: Step, how: 'restored' | 'adopted'): Promise<Outcome | undefined> {
    const { maxAge } = step.options;
    const version = await this.restore(step.id, maxAge === undefined ? {} : { maxAge });
    if (version === undefined) return undefined;
    this.emit(step, how, { version: version.record.version });
    return { kind: 'restored', version };
  }

  private emit(
    { id, options }: Step,
    action: LaneCacheEventMap['step']['action'],
    facts: { readonly version?: number; readonly durationMs?: number } = {},
  ): void {
    const { events } = this.settings;
    if (!events.wants('step')) return;
    const { workflow, step } = options;
    events.emit('step', {
      action,
      id,
      ...(workflow !== undefined && { workflow }),
      ...(step !== undefined && { step }),
      ...facts,
    });
  }

  private pause(ms: number): Promise<void> {
    // A caller waits: the process must not end meanwhile.
    return this.keepAlive.during(new Promise<void>((resolve) => this.settings.clock.schedule(ms, resolve)));
  }
}

/** The lease on a step passed to another process while the step ran. */
class LeaseLost extends Error {
  override readonly name = 'LeaseLost';
}

/** Whether `target` waits, perhaps through others, for `step` or for a step around it. */
function waitsForAnyOf(target: Running, step: Running): boolean {
  const asking = new Set<Running>();
  for (let outer: Running | undefined = step; outer !== undefined; outer = outer.outer) asking.add(outer);
  const seen = new Set<Running>();
  const reaches = (one: Running): boolean => {
    if (asking.has(one)) return true;
    if (seen.has(one)) return false;
    seen.add(one);
    return [...one.waitsFor].some((next) => reaches(next));
  };
  return reaches(target);
}

const isUnavailable = (error: unknown): error is LaneCacheError =>
  isLaneCacheError(error, 'CHECKPOINTS_UNAVAILABLE') || isLaneCacheError(error, 'CLOSED');

const reentrant = (id: string): LaneCacheError =>
  new LaneCacheError(
    'REENTRANT',
    `The step '${id}' asked for '${id}' itself, perhaps through other steps, and would wait for itself. Give the inner step an id of its own.`,
    { key: id },
  );
