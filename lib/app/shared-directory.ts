import { join } from 'node:path';
import type { Persistence } from '../cache/lane-context.js';
import { withBenchLanes } from '../benchmark/measure-performance.js';
import type { CheckpointStore } from '../checkpoints/checkpoint-store.js';
import { UnavailableCheckpointStore } from '../checkpoints/unavailable-checkpoint-store.js';
import type { LogJournal } from '../invalidation/journal.js';
import { checkpointAnswers, RemoteCheckpointStore } from '../ipc/remote-checkpoint-store.js';
import { type Answer, IpcServer } from '../ipc/server.js';
import { socketLiveness } from '../ipc/socket.js';
import { switchedOff, CheckpointDirectory } from './checkpoint-directory.js';
import { writeAppRecord, LaneCacheDirectory, type Session } from '../storage/directory/cache-directory.js';
import { CacheFolder, PersistentFolder } from '../storage/directory/cache-folders.js';
import { StorageFault } from '../storage/environment.js';
import { MissedMarker, PendingInvalidations } from '../storage/directory/pending-invalidations.js';
import { OpenDirectories } from '../storage/lmdb/open-directories.js';
import { OwnerSocket } from '../storage/directory/owner-socket.js';
import { acquireOwnership, type InUse, type Owned } from '../storage/directory/owner-lock.js';
import { OwnershipCheck } from '../storage/directory/ownership-check.js';
import { removeOldQuarantines } from '../storage/files/quarantine.js';
import { DiskTier, type StoredTierOptions } from '../tiers/stored-tier.js';
import { offReasonOf } from '../tiers/tier.js';
import { PersistentTier } from '../tiers/persistent-tier.js';
import type { Disk, DiskOptions } from './disk.js';
import { INVALIDATION_KINDS } from '../events/reasons.js';
import type { Outbox, SharedRecord } from '../invalidation/shared-log.js';

const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;
const NOT_OPENED = 'they have not been opened yet. Try again in a moment.';

/** What an app has on disk, in a directory that other processes may use as well: one of them owns it. */
export class SharedDirectory implements Disk {
  readonly l2: DiskTier;
  readonly l3: PersistentTier;
  readonly persistence: Persistence;
  outbox: StoredOutbox | undefined;
  private directory: LaneCacheDirectory | undefined;
  private session: Session | undefined;
  private socket: OwnerSocket | undefined;
  private owned: OwnershipCheck | undefined;
  private stopWaiting: (() => Promise<void>) | undefined;
  private store: CheckpointStore = new UnavailableCheckpointStore('in-use', NOT_OPENED);
  private remote: RemoteCheckpointStore | undefined;
  private server: IpcServer | undefined;
  private readonly answers = new Map<string, Answer>(checkpointAnswers(() => this.store));
  private readonly note: MissedMarker;
  private moving: Promise<void> = Promise.resolve();
  private readonly opened = new OpenDirectories();
  private cancelRetry = (): void => undefined;
  private owning: Promise<void> = Promise.resolve();
  private closing: Promise<void> | undefined;

  private constructor(private readonly options: DiskOptions) {
    const tier: StoredTierOptions = { ...options, lanes: withBenchLanes(options.lanes) };
    this.l2 = DiskTier.unattached(tier);
    const l3 = (this.l3 = PersistentTier.unattached(tier));
    const directory = join(options.root, 'l3');
    this.note = new MissedMarker(options.root, directory);
    this.persistence = {
      directory,
      // the owner follows what all say, and so does whoever becomes the owner
      isEmpty: () => !l3.isFollowed || l3.isEmpty,
      // who is just becoming the owner must be done with it first
      invalidateAll: () => this.owning.then(() => l3.invalidateAll()),
      noteMissed: () => (l3.isFollowed ? undefined : this.missed()),
    };
  }

  /**
   * Opens the directory and claims it. One that cannot be used for the time being turns the disk off, and is tried again.
   * Throws LaneCacheError on a directory that can never be used as one.
   */
  static async open(options: DiskOptions): Promise<SharedDirectory> {
    const disk = new SharedDirectory(options);
    try {
      await disk.openOnce();
    } catch (error) {
      if (!(error instanceof StorageFault)) {
        await disk.close();
        throw error;
      }
      disk.retryLater(error);
    }
    return disk;
  }

  /** Takes up where an earlier attempt failed. Rejects with `StorageFault`, or LaneCacheError. */
  private async openOnce(): Promise<void> {
    const { root, clock } = this.options;
    const directory = await LaneCacheDirectory.prepare({ root, liveness: socketLiveness, clock });
    await directory.removeDeadSessions();
    if (this.session === undefined) await this.openSession(directory);
    const ownership = await acquireOwnership({ directory: directory.claims, liveness: socketLiveness, clock });
    this.socket = await OwnerSocket.at(directory.claims);
    this.directory = directory;
    if (ownership.state === 'owned') await this.own(ownership);
    else this.wait(ownership, this.socket);
  }

  private async openSession(directory: LaneCacheDirectory): Promise<void> {
    const { clock, deadlineMs, minFreeBytes } = this.options;
    this.session = await directory.openSession();
    const place = join(this.session.directory, 'l2');
    await this.l2.attach(new CacheFolder({ directory: place, durability: 'session', clock, minFreeBytes, deadlineMs }));
  }

  /** Goes on in memory, and tries to move in later. */
  private retryLater(fault: StorageFault, afterMs = FIRST_RETRY_MS): void {
    const { root, events, clock } = this.options;
    const reason = offReasonOf(fault.kind);
    const detail = `the directory '${root}' can't be used: ${fault.message}`;
    if (afterMs === FIRST_RETRY_MS) {
      this.l2.hold(reason);
      this.l3.hold(reason);
      events.emit('tier', { tier: 'l2', state: 'off', reason, detail });
    }
    this.store = new UnavailableCheckpointStore(reason, detail);
    this.cancelRetry = clock.schedule(afterMs, () => {
      this.moving = this.openOnce().catch((error: unknown) => {
        const again = error instanceof StorageFault ? error : new StorageFault('io', String(error), error);
        if (this.closing === undefined) this.retryLater(again, Math.min(afterMs * 2, LAST_RETRY_MS));
      });
    });
  }

  get journal(): LogJournal | undefined {
    return this.owned === undefined ? undefined : this.l3;
  }

  checkpoints(): CheckpointStore {
    return this.store;
  }

  whenFound(adopt: (journal: LogJournal) => void): void {
    this.l3.whenFound(() => {
      this.options.life.notBefore(this.l3.initial.latestTime);
      adopt(this.l3);
    });
  }

  answer(answers: readonly (readonly [string, Answer])[]): void {
    for (const [call, answer] of answers) this.answers.set(call, answer);
  }

  async leaveNote(note: unknown): Promise<void> {
    if (this.owned !== undefined) await writeAppRecord(this.options.root, note).catch(() => undefined);
  }

  async removeLeftovers(): Promise<{ readonly orphanedSessions: number; readonly quarantinesRemoved: number }> {
    const { directory, owned } = this;
    if (directory === undefined) return { orphanedSessions: 0, quarantinesRemoved: 0 };
    const orphanedSessions = await directory.removeDeadSessions();
    const quarantinesRemoved = owned === undefined ? 0 : await removeOldQuarantines(directory.l3, this.options.clock);
    return { orphanedSessions, quarantinesRemoved };
  }

  close(): Promise<void> {
    return (this.closing ??= this.shut());
  }

  private async shut(): Promise<void> {
    this.cancelRetry();
    await this.moving;
    await this.stopWaiting?.();
    await this.owning.catch(() => undefined);
    await this.server?.close();
    await Promise.all([this.l2.close(), this.l3.close(), this.store.close()]);
    // whoever comes next must not find LMDB still at work: what hangs keeps the claim as long as the process lives
    const released = this.opened.none().then(() => this.owned?.release());
    if (this.opened.isEmpty) await released;
    else released.catch(() => undefined);
    await this.socket?.leave();
    await this.session?.remove();
  }

  private missed(): Promise<void> {
    this.l3.missed();
    return this.note.ensure();
  }

  private own(owned: Owned): Promise<void> {
    const { root, clock, events } = this.options;
    const claim = new OwnershipCheck(owned, {
      root,
      clock,
      liveness: socketLiveness,
      renewed: () => this.listen(),
      refused: (ownerPid) => events.emit('owner', { directory: root, state: 'refused', ownerPid }),
    });
    this.owned = claim;
    this.owning = this.attach(() => claim.require());
    return this.owning;
  }

  private async attach(requireOwnership: () => Promise<void>): Promise<void> {
    const { clock, minFreeBytes, deadlineMs, events, root } = this.options;
    await this.note.made();
    this.outbox = await StoredOutbox.open(root);
    await this.l3.attach(
      new PersistentFolder({
        root,
        directory: this.persistence.directory,
        clock,
        minFreeBytes,
        deadlineMs,
        opened: this.opened,
        requireOwnership,
      }),
    );
    const use = (store: CheckpointStore): Promise<void> => this.useCheckpoints(store);
    await use(await new CheckpointDirectory({ ...this.options, opened: this.opened }, requireOwnership, use).open());
    await this.listen();
    events.emit('owner', { directory: root, state: 'owned' });
  }

  private async useCheckpoints(store: CheckpointStore): Promise<void> {
    this.store = store;
    this.remote?.succeed(store);
    if (this.closing !== undefined) await store.close();
  }

  private async listen(): Promise<void> {
    await this.server?.close();
    if (this.socket !== undefined) this.server = await listenToOthers(this.socket, this.answers, this.options);
  }

  private wait(inUse: InUse, socket: OwnerSocket): void {
    const { events, root } = this.options;
    const { ownerPid } = inUse;
    this.store = this.viaOwner(socket);
    this.l3.hold('in-use');
    events.emit('owner', { directory: root, state: 'waiting', ownerPid });
    this.stopWaiting = inUse.whenFree((owned) => {
      this.takeOver(owned).catch((error: unknown) => {
        const detail = `the directory '${root}' could not be taken over`;
        events.emit('tier', { tier: 'l3', state: 'off', reason: 'breaker', detail, error });
      });
    });
  }

  private viaOwner({ path }: OwnerSocket): CheckpointStore {
    const { checkpoints, clock, deadlineMs } = this.options;
    if (checkpoints === false) return switchedOff();
    this.remote = new RemoteCheckpointStore({ path, clock, deadlineMs });
    return this.remote;
  }

  /** What this process knew of the persistent tier it did not own is worth nothing now: memory and L2 start afresh. */
  private async takeOver(owned: Owned): Promise<void> {
    await this.l2.discard().catch(() => undefined);
    await this.own(owned);
    this.options.events.emit('owner', { directory: this.options.root, state: 'taken-over' });
  }
}

/** Answers other processes as long as this one owns the directory. One that cannot be asked is still a good owner. */
async function listenToOthers(
  socket: OwnerSocket,
  answers: ReadonlyMap<string, Answer>,
  { clock, events, root, serves }: DiskOptions,
): Promise<IpcServer | undefined> {
  if (serves === 'nobody') return undefined;
  try {
    await socket.clear();
    return await IpcServer.listen(socket.path, answers, clock);
  } catch (error) {
    const detail = `other processes cannot reach the checkpoints in '${root}' through this one`;
    events.emit('tier', { tier: 'checkpoints', state: 'on', detail, error });
    return undefined;
  }
}

/** What of the shared log could not be said yet, in the directory of an app. */
class StoredOutbox implements Outbox {
  readonly found: ReadonlyMap<string, SharedRecord>;

  static async open(root: string): Promise<StoredOutbox> {
    return new StoredOutbox(await PendingInvalidations.open(root));
  }

  private constructor(private readonly files: PendingInvalidations) {
    this.found = new Map([...files.found].map(([id, text]) => [id, recordIn(text)]));
  }

  keep(records: ReadonlyMap<string, SharedRecord>): Promise<void> {
    return this.files.keep(new Map([...records].map(([id, record]) => [id, textOf(record)])));
  }

  forget(ids: readonly string[]): void {
    this.files.forget(ids);
  }
}

/** As JSON, which keeps lone surrogates that UTF-8 would lose. */
const textOf = ({ kind, lane, subject }: SharedRecord): string => JSON.stringify([kind, lane, subject]);

/** What cannot be understood may have named anything. */
function recordIn(text: string): SharedRecord {
  const everything = { kind: 'all', lane: null, subject: '*' } as const;
  try {
    const [kind, lane, subject]: readonly unknown[] = JSON.parse(text);
    const known = INVALIDATION_KINDS.find((one) => one === kind);
    if (known === undefined || typeof subject !== 'string') return everything;
    return lane === null || typeof lane === 'string' ? { kind: known, lane, subject } : everything;
  } catch {
    return everything;
  }
}
