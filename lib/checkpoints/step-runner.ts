import { type Clock, KeepAlive } from '../clock/clock.js';
import type { ValueCodec } from '../entries/codec/value-codec.js';
import { CheckpointConflictError, workflowInvalidated } from '../errors/checkpoint.errors.js';
import { isLaneCacheError, LaneCacheError } from '../errors/lane-cache.error.js';
import type { EventSink, LaneCacheEventMap } from '../events/event-map.js';
import { toMilliseconds } from '../lanes/units.js';
import { defined } from '../options/options-shape.js';
import { decodeState, type ValidVersion } from './checkpoint-restore.js';
import type { CheckpointSaver, PreparedSave } from './checkpoint-saver.js';
import type { StepStart } from './checkpoint-store.js';
import type { RestoreCheckpointOptions, StepOptions } from './checkpoint.js';
import { Lease, type LeasePort } from './leases.js';
import { epochAround, type Step, StepScopes } from './step-scopes.js';

interface StepSettings {
  readonly clock: Clock;
  readonly codec: ValueCodec;
  readonly events: EventSink;
  readonly warn?: (message: string) => void;
}

/** How a step ended. A result is given to each other caller as a copy of its own. No bytes: it is undefined. */
type Outcome =
  | { readonly kind: 'restored'; readonly version: ValidVersion }
  | { readonly kind: 'ran'; readonly value: unknown; readonly bytes: Uint8Array | undefined };

/** What a step gave, ready to be saved. */
interface Result {
  readonly value: unknown;
  readonly prepared: PreparedSave;
  readonly durationMs: number;
}

/** A step under way in this process. */
interface Started {
  readonly step: Step;
  readonly outcome: Promise<Outcome>;
}

type Restore = (id: string, options: RestoreCheckpointOptions) => Promise<ValidVersion | undefined>;

/** How long a step waits before it asks for the lease of another process again. */
const ASK_AGAIN_MS = 50;
/** How long a step waits for another process while that may wait for a step of this one. */
const WAIT_IN_CIRCLE_MS = 30_000;
/** How often a result is offered again, after the version that was in its way had gone. */
const MAX_OFFERS = 16;

/**
 * Runs steps whose results are checkpoints. In one process concurrent callers share the run. Among processes the store
 * decides: a result is saved only if nothing was saved under the id since the step began.
 */
export class StepRunner {
  /** By id: the step that further callers may share. */
  private readonly running = new Map<string, Started>();
  /** All that run, also those of a workflow that was invalidated since they began. */
  private readonly active = new Set<Step>();
  private readonly keepAlive = new KeepAlive();
  private readonly leases: LeasePort;
  readonly scopes = new StepScopes();

  constructor(
    private readonly settings: StepSettings,
    private readonly saver: CheckpointSaver,
    private readonly restore: Restore,
  ) {
    this.leases = { lease: (request) => saver.write((store) => store.lease(request)) };
  }

  async run(id: string, run: () => unknown, options: StepOptions): Promise<unknown> {
    const outer = this.scopes.current;
    const step: Step = {
      id,
      run,
      options,
      outer,
      waitsFor: new Set(),
      epoch: undefined,
      hasRun: false,
      lease: undefined,
    };
    for (;;) {
      const start = await this.begin(step);
      const current = this.running.get(id);
      // A step of an earlier run of the workflow cannot save.
      if (current === undefined || isOfAnEarlierRun(current.step, step)) return this.lead(step, start);
      const outcome = await this.join(current, step);
      if (outcome !== undefined) return this.copyOf(outcome);
    }
  }

  /** Undefined if checkpoints cannot be used and the step may run without. */
  private async begin(step: Step): Promise<StepStart | undefined> {
    try {
      const start = await this.startOf(step);
      step.epoch = start.epoch;
      return start;
    } catch (error) {
      if (!this.mayGoOn(step, error)) throw error;
      return undefined;
    }
  }

  /** Rejects if the workflow was invalidated since the step, or the step around it, began. */
  private async startOf(step: Step): Promise<StepStart> {
    const { id, options } = step;
    const { workflow = '' } = options;
    const now = this.settings.clock.now();
    const start = await this.saver.write((store) => store.begin(id, options.workflow, now));
    const epoch = epochAround(step);
    if (epoch !== undefined && epoch !== start.epoch) throw workflowInvalidated(id, workflow, start.currentVersion);
    return start;
  }

  private async lead(step: Step, start: StepStart | undefined): Promise<unknown> {
    const { id, outer } = step;
    const started = { step, outcome: this.perform(step, start) };
    this.running.set(id, started);
    this.active.add(step);
    outer?.waitsFor.add(step);
    try {
      const outcome = await started.outcome;
      return outcome.kind === 'ran' ? outcome.value : this.copyOf(outcome);
    } finally {
      if (this.running.get(id) === started) this.running.delete(id);
      this.active.delete(step);
      outer?.waitsFor.delete(step);
    }
  }

  /** Undefined if the outcome is not for this call, which looks for itself then. */
  private async join({ step: leader, outcome }: Started, step: Step): Promise<Outcome | undefined> {
    const { outer } = step;
    if (outer !== undefined && waitsForAnyOf(leader, outer)) throw reentrant(leader.id);
    const isShared = sharesWith(leader.options, step.options);
    outer?.waitsFor.add(leader);
    try {
      const ended = await outcome;
      return isShared && this.isFreshFor(step, ended) ? ended : undefined;
    } catch (error) {
      if (isShared) throw error;
      return undefined;
    } finally {
      outer?.waitsFor.delete(leader);
    }
  }

  private isFreshFor({ id, options: { maxAge } }: Step, outcome: Outcome): boolean {
    if (outcome.kind === 'ran' || maxAge === undefined) return true;
    const ageMs = this.settings.clock.now() - outcome.version.record.savedAt;
    return ageMs <= toMilliseconds(maxAge, { key: id, field: 'maxAge' });
  }

  private copyOf(outcome: Outcome): unknown {
    const { codec } = this.settings;
    if (outcome.kind === 'restored') return decodeState(codec, outcome.version);
    return outcome.bytes === undefined ? undefined : codec.decode(outcome.bytes);
  }

  private async perform(step: Step, start: StepStart | undefined): Promise<Outcome> {
    if (start === undefined) return this.runUnsaved(step);
    try {
      const found =
        start.currentVersion === 0 ? undefined : await this.restored(step, 'restored', start.currentVersion);
      if (found !== undefined) return found;
      return step.options.exclusive === true
        ? await this.runAlone(step)
        : await this.runAgainstOthers(step, start, undefined);
    } catch (error) {
      if (step.hasRun || !this.mayGoOn(step, error)) throw error;
      return this.runUnsaved(step);
    }
  }

  private async runUnsaved(step: Step): Promise<Outcome> {
    const { value, durationMs } = await this.timed(step);
    return { kind: 'ran', value, bytes: value === undefined ? value : this.prepare(step, value, durationMs).bytes };
  }

  /** Whether the step goes on without its checkpoint after this error. Warns of it then. */
  private mayGoOn({ id, options }: Step, error: unknown): boolean {
    if (!isUnavailable(error) || options.onUnavailable !== 'run') return false;
    this.settings.warn?.(`The step '${id}' runs without its checkpoint: ${error.message}`);
    return true;
  }

  /** Takes the lease on the id, or waits for the result of the process that has it. */
  private async runAlone(step: Step): Promise<Outcome> {
    const { clock } = this.settings;
    const giveUpAt = clock.monotonic() + WAIT_IN_CIRCLE_MS;
    for (;;) {
      const lease = await Lease.take(this.leases, clock, step.id);
      if (lease instanceof Lease) {
        const outcome = await this.withLease(step, lease);
        if (outcome !== undefined) return outcome;
        continue;
      }
      if (clock.monotonic() >= giveUpAt && this.isAwaitedByHolder(step)) throw waitedTooLong(step.id);
      await this.pause(Math.min(Math.max(lease.leftMs, 1), ASK_AGAIN_MS));
      const found = await this.restored(step, 'adopted');
      if (found !== undefined) return found;
    }
  }

  /** Whether a step for which other processes wait, waits for this one. */
  private isAwaitedByHolder(step: Step): boolean {
    return [...this.active].some((other) => other.lease !== undefined && reaches(other, new Set([step])));
  }

  /** Undefined if the lease was lost, and with it the right to save. */
  private async withLease(step: Step, lease: Lease): Promise<Outcome | undefined> {
    step.lease = lease.token;
    try {
      return await this.runAgainstOthers(step, await this.startOf(step), lease);
    } catch (error) {
      if (error instanceof LeaseLost) return undefined;
      throw error;
    } finally {
      step.lease = undefined;
      // A save has released it already.
      await lease.release();
    }
  }

  private async runAgainstOthers(step: Step, start: StepStart, lease: Lease | undefined): Promise<Outcome> {
    // Others may have saved while it waited for its lease.
    const found = lease === undefined || start.currentVersion === 0 ? undefined : await this.restored(step, 'adopted');
    if (found !== undefined) return found;
    const { value, durationMs } = await this.timed(step);
    if (value === undefined) return { kind: 'ran', value, bytes: undefined };
    const prepared = this.prepare(step, value, durationMs);
    try {
      return await this.offer(step, { value, prepared, durationMs }, start, lease);
    } catch (error) {
      if (!this.mayGoOn(step, error)) throw error;
      return { kind: 'ran', value, bytes: prepared.bytes };
    }
  }

  /** Saves the result, or adopts the one that was saved meanwhile. */
  private async offer(
    step: Step,
    { value, prepared, durationMs }: Result,
    start: StepStart,
    lease: Lease | undefined,
  ): Promise<Outcome> {
    const { id, options } = step;
    const fence = { adopts: true, epoch: start.epoch, ...(lease !== undefined && { lease: lease.token }) };
    let { currentVersion } = start;
    for (let offers = 0; offers < MAX_OFFERS; offers += 1) {
      const saved = await this.saver.save(prepared, { ...fence, expectedVersion: currentVersion });
      if (saved.outcome === 'saved') {
        this.emit(step, 'saved', { version: saved.record.version, durationMs });
        return { kind: 'ran', value, bytes: prepared.bytes };
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
    const { draft, bytes } = this.saver.prepare(id, value, defined({ lane, workflow, step, ttl }));
    return { draft: { ...draft, durationMs }, bytes };
  }

  private async timed(step: Step): Promise<{ readonly value: unknown; readonly durationMs: number }> {
    const { clock } = this.settings;
    this.emit(step, 'started');
    const startedAt = clock.monotonic();
    step.hasRun = true;
    const { run, ended } = this.scopes.call(step);
    try {
      const value = await ended;
      return { value, durationMs: Math.round(clock.monotonic() - startedAt) };
    } catch (error) {
      this.emit(step, 'failed', { durationMs: Math.round(clock.monotonic() - startedAt) });
      // Mostly it is the refused save that failed the function. Another process has the step now.
      throw run.phase === 'lost' ? new LeaseLost() : error;
    }
  }

  /** The result under the id, or that version of it where it is known which one to look for. */
  private async restored(step: Step, how: 'restored' | 'adopted', version?: number): Promise<Outcome | undefined> {
    const { maxAge } = step.options;
    const found = await this.restore(step.id, defined({ version, maxAge }));
    if (found === undefined) return undefined;
    this.emit(step, how, { version: found.record.version });
    return { kind: 'restored', version: found };
  }

  private emit(
    { id, options }: Step,
    action: LaneCacheEventMap['step']['action'],
    facts: { readonly version?: number; readonly durationMs?: number } = {},
  ): void {
    const { events } = this.settings;
    if (!events.wants('step')) return;
    const { workflow, step } = options;
    events.emit('step', { ...defined({ action, id, workflow, step }), ...facts });
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

const isOfAnEarlierRun = (running: Step, step: Step): boolean =>
  running.options.workflow === step.options.workflow &&
  running.epoch !== undefined &&
  step.epoch !== undefined &&
  running.epoch < step.epoch;

/** Whether the outcome of a call with the one options is what a call with the other options may give. */
const sharesWith = (one: StepOptions, other: StepOptions): boolean =>
  one.workflow === other.workflow &&
  (one.exclusive ?? false) === (other.exclusive ?? false) &&
  (one.onUnavailable ?? 'throw') === (other.onUnavailable ?? 'throw');

/** Whether `target` waits, perhaps through others, for `step` or for a step around it. */
function waitsForAnyOf(target: Step, step: Step): boolean {
  const asking = new Set<Step>();
  for (let outer: Step | undefined = step; outer !== undefined; outer = outer.outer) asking.add(outer);
  return reaches(target, asking);
}

/** Whether `from` is one of the steps, or waits, perhaps through others, for one. */
function reaches(from: Step, wanted: ReadonlySet<Step>): boolean {
  const seen = new Set<Step>();
  const visit = (one: Step): boolean => {
    if (wanted.has(one)) return true;
    if (seen.has(one)) return false;
    seen.add(one);
    return [...one.waitsFor].some((next) => visit(next));
  };
  return visit(from);
}

const isUnavailable = (error: unknown): error is LaneCacheError =>
  isLaneCacheError(error, 'CHECKPOINTS_UNAVAILABLE') || isLaneCacheError(error, 'CLOSED');

const reentrant = (id: string): LaneCacheError =>
  new LaneCacheError(
    'REENTRANT',
    `The step '${id}' asked for '${id}' itself, perhaps through other steps, and would wait for itself. Give the inner step an id of its own.`,
    { key: id },
  );

const waitedTooLong = (id: string): LaneCacheError =>
  new LaneCacheError(
    'REENTRANT',
    `The exclusive step '${id}' has waited ${WAIT_IN_CIRCLE_MS / 1_000} s for another process, inside a step for which that process may wait in turn. Let all processes run exclusive steps inside others in the same order.`,
    { key: id },
  );
