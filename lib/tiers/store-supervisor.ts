import { type Clock, settledWithin } from '../clock/clock.js';
import type { EventSink } from '../events/event-map.js';
import type { TierOffReason } from '../events/reasons.js';
import type { EntryStore } from '../storage/entries/entry-store.js';
import { StorageFault, type Environment, type StorageReporter } from '../storage/environment.js';
import type { QueuedChange } from '../storage/entries/write-queue.js';
import { offReasonOf, type TierState } from './tier.js';
import { Retry } from '../clock/retry.js';
import type { TierName } from '../entries/tier-name.js';

interface StoreSupervisorOptions {
  readonly tier: 'l2' | 'l3';
  readonly clock: Clock;
  readonly events: EventSink;
  /** Why the tier is off until it is attached to a source; absent where that happens before anybody sees it. */
  readonly unattached?: TierOffReason | undefined;
  /** Called in the step in which a store begins to serve, before anything can be read from it. */
  readonly serving?: (store: EntryStore) => void;
  /** Makes a store over an environment just opened or found working again; `undefined` when what it holds is not ours. */
  readonly admit: (environment: Environment) => Promise<EntryStore | undefined>;
  /** Something failed. `lost` had been accepted and is not in place. */
  readonly failed: (lost: readonly QueuedChange[]) => void;
}

/** How far the folder has come. Only work that is done in turn opens, empties or closes it. */
type Phase =
  /** This process has no folder for the tier. */
  | { readonly is: 'unattached' }
  /** Not open. It may hold anything. */
  | { readonly is: 'shut'; readonly source: EnvironmentSource }
  /** There is nothing on disk, so that nothing can be missed there. */
  | { readonly is: 'vacant'; readonly source: EnvironmentSource }
  /** Open, and not served from. */
  | {
      readonly is: 'open';
      readonly source: EnvironmentSource;
      readonly environment: Environment;
      /** Nothing was written since it was emptied. */
      readonly isEmpty: boolean;
    }
  | {
      readonly is: 'serving';
      readonly source: EnvironmentSource;
      readonly environment: Environment;
      readonly store: EntryStore;
    }
  | { readonly is: 'closed' };

/**
 * Keeps a store through failing, being emptied, coming back and being closed.
 *
 * A store of which a removal was lost is never read again: its folder is discarded before the tier serves.
 */
export class StoreSupervisor {
  readonly tierSwitch: TierSwitch;
  private phase: Phase = { is: 'unattached' };
  /** What serves; `undefined` while the tier is off. */
  store: EntryStore | undefined;
  /** The folder missed a removal, so it must be discarded before it serves. */
  private isTainted = false;
  /** The end of the work that is done in turn. */
  private working: Promise<unknown> = Promise.resolve();
  private closing: Promise<void> | undefined;

  constructor(private readonly options: StoreSupervisorOptions) {
    const { tier, clock, events } = options;
    const repair = (): Promise<void> => this.inTurn(() => this.repair());
    this.tierSwitch = new TierSwitch({ tier, clock, events, repair });
    if (options.unattached !== undefined) this.tierSwitch.startOff(options.unattached);
  }

  /** Whether there is nothing on disk, so that nothing can be missed there. */
  get isVacant(): boolean {
    const { phase } = this;
    return phase.is === 'vacant' || (phase.is === 'open' && phase.isEmpty);
  }

  /** Whether this process has a folder for the tier at all. */
  get isAttached(): boolean {
    return this.phase.is !== 'unattached';
  }

  /** What a change is refused with while there is no store. */
  get offFault(): StorageFault {
    return new StorageFault('closed', `${this.options.tier} is off: ${this.tierSwitch.state.reason ?? 'closed'}`);
  }

  /** There is no folder for now. The reason has been reported already. */
  hold(reason: TierOffReason): void {
    if (this.closing === undefined && !this.isAttached) this.tierSwitch.hold(reason);
  }

  /** Opens the folder and serves. Never rejects: a folder that cannot be opened is tried again. */
  attach(source: EnvironmentSource): Promise<void> {
    return this.inTurn(async () => {
      if (this.closing !== undefined) return;
      this.moveTo({ is: 'shut', source });
      await this.openOrTrip();
    });
  }

  /** The folder missed a removal: what it holds now is never served. */
  miss(): void {
    this.isTainted = true;
  }

  /** The store could not write, or read what cannot be trusted. `lost` had been accepted and is not in place. */
  fail(fault: StorageFault, lost: readonly QueuedChange[] = []): void {
    const given = [...lost, ...this.takeOff(fault)];
    const owesRemoval = given.some((change) => change.isRemoval === true);
    if (owesRemoval || isLost(fault)) this.isTainted = true;
    this.options.failed(given);
    this.tierSwitch.trip(offReasonOf(fault.kind), fault.message, fault);
  }

  /**
   * Resolves when nothing that was stored can ever be read again, and then starts afresh. Rejects when that is not
   * certain; the tier stays off and tries again.
   */
  empty(): Promise<void> {
    if (this.isVacant) return Promise.resolve();
    if (this.phase.is === 'unattached' || this.phase.is === 'closed') return Promise.reject(this.offFault);
    this.isTainted = true;
    this.takeOff(new StorageFault('gone', `${this.options.tier} is being emptied`));
    const { reason } = this.tierSwitch.state;
    this.tierSwitch.pause('quarantined');
    return this.inTurn(() => this.startAfresh(reason));
  }

  /** Drains, lets go of the folder, and stays off. Each of the two takes at most half of `withinMs`. */
  close(withinMs: number): Promise<void> {
    this.closing ??= this.closeOnce(withinMs / 2);
    return this.closing;
  }

  private async closeOnce(stepMs: number): Promise<void> {
    const store = this.withdraw();
    this.tierSwitch.turnOff('closed', 'closed');
    if (store !== undefined) await settledWithin(this.options.clock, store.flush(), stepMs);
    store?.stop(this.offFault);
    const closed = this.inTurn(async () => {
      const environment = this.environment;
      this.moveTo({ is: 'closed' });
      await environment?.close();
    });
    await settledWithin(this.options.clock, closed, stepMs);
  }

  /** `before`: what it was off for when it was to be emptied decides whether it may serve at once. */
  private async startAfresh(before: TierOffReason | undefined): Promise<void> {
    // What was done in turn before has emptied the folder since. It serves, or is tried again.
    if (this.isVacant || (this.phase.is === 'serving' && !this.isTainted)) return;
    this.takeOff(this.offFault);
    try {
      await this.vacate();
    } catch (error) {
      const reason = error instanceof StorageFault ? offReasonOf(error.kind) : 'breaker';
      this.tierSwitch.trip(reason === 'breaker' ? 'quarantined' : reason, 'it could not be emptied', error);
      throw error;
    }
    if (this.closing !== undefined) return;
    // else it would go off and on with every write
    if (before === 'disk-full') this.tierSwitch.trip(before, 'there was no room for it');
    else await this.openOrTrip();
  }

  private async openOrTrip(): Promise<void> {
    try {
      await this.open();
    } catch (error) {
      this.fail(error instanceof StorageFault ? error : new StorageFault('io', 'could not be opened', error));
    }
  }

  private async repair(): Promise<void> {
    if (this.closing !== undefined || this.phase.is === 'serving') return;
    try {
      await this.open();
    } catch (error) {
      if (isLost(error)) this.isTainted = true;
      throw error;
    }
  }

  private async open(): Promise<void> {
    if (this.isTainted && this.phase.is !== 'vacant') await this.vacate();
    let opened = await this.openStore();
    if (opened === undefined || this.isTainted) {
      await this.vacate();
      opened = await this.openStore();
    }
    if (opened === undefined || this.isTainted) throw new StorageFault('damaged', 'cannot be read');
    if (this.closing !== undefined) return;
    this.moveTo(opened);
    this.options.serving?.(opened.store);
    this.tierSwitch.turnOn();
  }

  /** Undefined when what the folder holds is not ours. */
  private async openStore(): Promise<Extract<Phase, { readonly is: 'serving' }> | undefined> {
    const { source, environment } = await this.openFolder();
    const store = await this.options.admit(environment);
    return store && { is: 'serving', source, environment, store };
  }

  private async openFolder(): Promise<Extract<Phase, { readonly is: 'open' }>> {
    const { phase } = this;
    if (phase.is === 'open') return phase;
    if (phase.is !== 'shut' && phase.is !== 'vacant') throw this.offFault;
    const { source } = phase;
    const environment = await this.openEnvironment(source);
    const open = { is: 'open', source, environment, isEmpty: phase.is === 'vacant' } as const;
    this.moveTo(open);
    return open;
  }

  private openEnvironment(source: EnvironmentSource): Promise<Environment> {
    const { tier, events } = this.options;
    const isOurs = (): boolean => 'source' in this.phase && this.phase.source === source;
    return source.open({
      fault: (kind, detail, error) => {
        if (isOurs()) this.fail(new StorageFault(kind, detail, error));
      },
      quarantined: (directory, movedTo, cause) =>
        events.emit('quarantine', { directory, movedTo, cause: `${tier}: ${cause}` }),
    });
  }

  private async vacate(): Promise<void> {
    const { phase, environment } = this;
    if (!('source' in phase)) throw this.offFault;
    const { source } = phase;
    this.moveTo({ is: 'shut', source });
    await environment?.close();
    await source.discard();
    this.isTainted = false;
    this.moveTo({ is: 'vacant', source });
  }

  private moveTo(phase: Phase): void {
    this.phase = phase;
    this.store = phase.is === 'serving' ? phase.store : undefined;
  }

  private get environment(): Environment | undefined {
    return 'environment' in this.phase ? this.phase.environment : undefined;
  }

  private takeOff(fault: StorageFault): readonly QueuedChange[] {
    return this.withdraw()?.stop(fault) ?? [];
  }

  /** The store, which serves no more. */
  private withdraw(): EntryStore | undefined {
    const { phase } = this;
    if (phase.is !== 'serving') return undefined;
    this.moveTo({ is: 'open', source: phase.source, environment: phase.environment, isEmpty: false });
    return phase.store;
  }

  /** Opening, emptying and closing never overlap. */
  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.working.then(work);
    this.working = result.catch(() => undefined);
    return result;
  }
}

/** Whether the folder that is open now will never serve again. */
function isLost(error: unknown): boolean {
  return error instanceof StorageFault && (error.kind === 'damaged' || error.kind === 'gone');
}

/** Where a disk tier gets its folder from, and what becomes of one that must not be read again. */
export interface EnvironmentSource {
  /** Opens the folder, and sets aside what cannot be trusted. `report` gets reads that failed. */
  open(report: StorageReporter): Promise<Environment>;
  /** Resolves when nothing that the folder holds can ever be opened again. The environment is closed before. */
  discard(): Promise<void>;
}

/** How often a folder that cannot be used is tried again. */
export const FOLDER_RETRIES = { firstMs: 1_000, longestMs: 60_000 };

interface TierSwitchOptions {
  readonly tier: TierName;
  readonly clock: Clock;
  readonly events: EventSink;
  /** Tries to bring the tier back. Rejects when it still fails. */
  readonly repair: () => Promise<void>;
}

/** Whether a tier serves, why not, and when it is tried again. Says each change of state once. */
export class TierSwitch {
  state: TierState = { state: 'on' };
  /** The state that was reported last. */
  private reported: 'on' | TierOffReason = 'on';
  private onSince = 0;
  private readonly retry: Retry;

  constructor(private readonly options: TierSwitchOptions) {
    this.retry = new Retry(options.clock, FOLDER_RETRIES);
  }

  /** Off from the start. `state` shows it, and no event is emitted. */
  startOff(reason: TierOffReason): void {
    this.state = { state: 'off', reason };
  }

  /** Off until `turnOn`. The caller has reported it already; the return is reported. */
  hold(reason: TierOffReason): void {
    this.startOff(reason);
    this.reported = reason;
  }

  /** The tier failed: it is off until a repair succeeds. */
  trip(reason: TierOffReason, detail: string, error?: unknown): void {
    if (this.state.reason === 'closed') return;
    if (this.hasHeld()) this.retry.reset();
    this.turnOff(reason, detail, error);
    this.retryLater();
  }

  /** The tier is off until `turnOn`. */
  turnOff(reason: TierOffReason, detail: string, error?: unknown): void {
    this.retry.cancel();
    this.state = { state: 'off', reason };
    if (this.reported === reason) return;
    this.reported = reason;
    const { tier, events } = this.options;
    events.emit('tier', { tier, state: 'off', reason, detail, ...(error !== undefined && { error }) });
  }

  /** As `turnOff`, for a moment that is not worth telling, unless it lasts. */
  pause(reason: TierOffReason): void {
    this.retry.cancel();
    if (this.state.reason !== 'closed') this.state = { state: 'off', reason };
  }

  turnOn(): void {
    if (this.state.reason === 'closed') return;
    this.retry.cancel();
    if (this.state.state === 'on') return;
    this.onSince = this.options.clock.monotonic();
    const { reason } = this.state;
    this.state = { state: 'on' };
    if (this.reported === 'on') return;
    this.reported = 'on';
    const detail = reason === 'in-use' ? 'this process owns the directory now' : 'it works again';
    this.options.events.emit('tier', { tier: this.options.tier, state: 'on', detail });
  }

  /** Whether it was on for as long as it had been waited for: a disk that takes small writes and no large ones fails sooner. */
  private hasHeld(): boolean {
    const onForMs = this.options.clock.monotonic() - this.onSince;
    return this.state.state === 'on' && onForMs >= this.retry.delayMs / 2;
  }

  private retryLater(): void {
    this.retry.schedule(() => {
      this.options.repair().catch(() => {
        if (!this.retry.isScheduled && this.state.state === 'off' && this.state.reason !== 'closed') this.retryLater();
      });
    });
  }
}
