import type { Clock } from '../clock/clock.js';
import { settledWithin } from '../clock/timers.js';
import type { EventSink } from '../events/event-map.js';
import type { TierOffReason } from '../events/reasons.js';
import type { EntryStore } from '../storage/entries/entry-store.js';
import { StorageFault, type Environment, type StorageReporter } from '../storage/environment.js';
import type { QueuedChange } from '../storage/entries/write-queue.js';
import { TierSwitch } from './tier-switch.js';
import { offReasonOf, type TierState } from './tier.js';

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

/**
 * Keeps a store through failing, being emptied, coming back and being closed.
 *
 * A store of which a removal was lost is never read again: its folder is discarded before the tier serves.
 */
export class StoreSupervisor {
  /** What serves; `undefined` while the tier is off. */
  store: EntryStore | undefined;
  /** Whether there is nothing on disk, so that nothing can be missed there. */
  isVacant = false;

  private readonly tierSwitch: TierSwitch;
  private source: EnvironmentSource | undefined;
  private environment: Environment | undefined;
  private isTainted = false;
  private working: Promise<unknown> = Promise.resolve();
  private emptying: Promise<void> | undefined;
  private closing: Promise<void> | undefined;

  constructor(private readonly options: StoreSupervisorOptions) {
    const { tier, clock, events } = options;
    const repair = (): Promise<void> => this.inTurn(() => this.repair());
    this.tierSwitch = new TierSwitch({ tier, clock, events, repair });
    if (options.unattached !== undefined) this.tierSwitch.startOff(options.unattached);
  }

  get state(): TierState {
    return this.tierSwitch.state;
  }

  /** Whether this process has a folder for the tier at all. */
  get isAttached(): boolean {
    return this.source !== undefined;
  }

  /** What a change is refused with while there is no store. */
  get offFault(): StorageFault {
    return new StorageFault('closed', `${this.options.tier} is off: ${this.state.reason ?? 'closed'}`);
  }

  /** There is no folder for now. The reason has been reported already. */
  hold(reason: TierOffReason): void {
    if (this.closing === undefined && this.source === undefined) this.tierSwitch.hold(reason);
  }

  /** Opens the folder and serves. Never rejects: a folder that cannot be opened is tried again. */
  attach(source: EnvironmentSource): Promise<void> {
    return this.inTurn(async () => {
      if (this.closing !== undefined) return;
      this.source = source;
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
    const owesRemoval = given.some((change) => change.isRemoval);
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
    if (this.source === undefined) return Promise.reject(this.offFault);
    this.isTainted = true;
    this.takeOff(new StorageFault('gone', `${this.options.tier} is being emptied`));
    const { reason } = this.state;
    this.tierSwitch.pause('quarantined');
    this.emptying ??= this.inTurn(() => this.startAfresh(reason)).finally(() => (this.emptying = undefined));
    return this.emptying;
  }

  /** Drains, lets go of the folder, and stays off. Each of the two takes at most half of `withinMs`. */
  close(withinMs: number): Promise<void> {
    this.closing ??= this.closeOnce(withinMs / 2);
    return this.closing;
  }

  private async closeOnce(stepMs: number): Promise<void> {
    const { store } = this;
    this.store = undefined;
    this.tierSwitch.turnOff('closed', 'closed');
    if (store !== undefined) await settledWithin(this.options.clock, store.flush(), stepMs);
    store?.stop(this.offFault);
    const closed = this.inTurn(async () => this.environment?.close());
    await settledWithin(this.options.clock, closed, stepMs);
  }

  /** What it was off for before decides whether it may serve at once. */
  private async startAfresh(before: TierOffReason | undefined): Promise<void> {
    // a repair that was under way has found the folder tainted, and has started afresh
    if (this.store !== undefined && !this.isTainted) return;
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
    if (this.closing !== undefined || this.store !== undefined) return;
    try {
      await this.open();
    } catch (error) {
      if (isLost(error)) this.isTainted = true;
      throw error;
    }
  }

  private async open(): Promise<void> {
    if (this.isTainted && !this.isVacant) await this.vacate();
    let store = await this.openStore();
    if (store === undefined || this.isTainted) {
      await this.vacate();
      store = await this.openStore();
    }
    if (store === undefined || this.isTainted) throw new StorageFault('damaged', 'cannot be read');
    if (this.closing !== undefined) return;
    this.store = store;
    this.options.serving?.(store);
    this.tierSwitch.turnOn();
  }

  private async openStore(): Promise<EntryStore | undefined> {
    this.environment ??= await this.openEnvironment();
    this.isVacant = false;
    return this.options.admit(this.environment);
  }

  private async openEnvironment(): Promise<Environment> {
    const { source } = this;
    if (source === undefined) throw this.offFault;
    const { tier, events } = this.options;
    const isOurs = (): boolean => this.source === source;
    return source.open({
      fault: (kind, detail, error) => {
        if (isOurs()) this.fail(new StorageFault(kind, detail, error));
      },
      quarantined: (directory, movedTo, cause) =>
        events.emit('quarantine', { directory, movedTo, cause: `${tier}: ${cause}` }),
    });
  }

  private async vacate(): Promise<void> {
    const { environment, source } = this;
    this.environment = undefined;
    await environment?.close();
    await source?.discard();
    this.isTainted = false;
    this.isVacant = true;
  }

  private takeOff(fault: StorageFault): readonly QueuedChange[] {
    const { store } = this;
    this.store = undefined;
    return store?.stop(fault) ?? [];
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
