import { join } from 'node:path';
import type { Persistence } from './cache/lane-space.js';
import { withBenchLanes } from './cache/performance.js';
import type { CheckpointStore } from './checkpoints/checkpoint-store.js';
import { UnavailableCheckpointStore } from './checkpoints/unavailable-checkpoint-store.js';
import type { Clock } from './clock/clock.js';
import type { LifeClock } from './clock/life-clock.js';
import { isLaneCacheError } from './errors/lane-cache.error.js';
import type { EventSink } from './events/event-map.js';
import type { LaneRecorder } from './events/recorder.js';
import type { LogJournal } from './invalidation/journal.js';
import type { ResolvedLane } from './lanes/policy.js';
import { checkpointAnswers } from './operator/checkpoint-calls.js';
import type { Answer } from './operator/conversation.js';
import { OperatorServer } from './operator/operator-server.js';
import { RemoteCheckpointStore } from './operator/remote-checkpoint-store.js';
import { socketLiveness } from './operator/socket-liveness.js';
import { openCheckpoints, switchedOff } from './lane-cache.checkpoints.js';
import { writeAppNote } from './storage/app-note.js';
import { CacheFolder } from './storage/cache-folder.js';
import { StorageFault } from './storage/environment.js';
import { LaneCacheDirectory, type Session } from './storage/lane-cache-directory.js';
import { forgetMissed, MissedNote, missedNotes } from './storage/missed.js';
import { OwnerSocket } from './storage/owner-socket.js';
import { acquireOwnership, type InUse, type Owned } from './storage/owner.js';
import { removeOldQuarantines } from './storage/quarantine.js';
import { DiskTier } from './tiers/disk-tier.js';
import { OffTier } from './tiers/off-tier.js';
import { PersistentTier } from './tiers/persistent-tier.js';
import type { StoredTierOptions } from './tiers/stored-tier.js';
import type { Tier } from './tiers/tier.js';

export interface DiskOptions {
  /** Absolute. */
  readonly root: string;
  /** Absolute; false keeps no checkpoints. */
  readonly checkpoints: string | false;
  readonly lanes: ReadonlyMap<string, ResolvedLane>;
  readonly clock: Clock;
  readonly life: LifeClock;
  readonly events: EventSink;
  readonly recorder: (lane: string) => LaneRecorder;
  /** Told of every entry that had to go, or whose time was over. */
  readonly evicted: NonNullable<StoredTierOptions['evicted']>;
  readonly minFreeBytes: number | undefined;
  readonly deadlineMs: number;
}

/** What of an app's cache lies on disk. */
export interface Disk {
  readonly l2: Tier;
  readonly l3: Tier;
  /** The persistent tier's part of the log, when this process owns it. */
  readonly journal: LogJournal | undefined;
  readonly persistence: Persistence | undefined;
  /** Where checkpoints are, asked anew at each call: ownership may come later. */
  checkpoints(): CheckpointStore;
  /**
   * `adopt` is called in the step in which the persistent tier begins to serve what another owner, or an earlier opening,
   * has stored: the log must go on from there, and let go of everything from before.
   */
  whenFound(adopt: (journal: LogJournal) => void): void;
  /** What this process answers others as long as it is the owner, besides what concerns checkpoints. */
  answer(answers: readonly (readonly [string, Answer])[]): void;
  /** Leaves word of the app for whoever looks into the directory later. Never rejects; only the owner does it. */
  leaveNote(note: unknown): Promise<void>;
  removeLeftovers(): Promise<{ readonly orphanedSessions: number; readonly quarantinesRemoved: number }>;
  close(): Promise<void>;
}

const NO_DIRECTORY = "this app runs without a directory. Give it one with 'directory'.";

/** A cache in memory alone. */
export function noDisk(): Disk {
  const checkpoints = new UnavailableCheckpointStore('no-directory', NO_DIRECTORY);
  return withoutDisk('no-directory', checkpoints);
}

/** Opens the directory and claims it. Throws LaneCacheError on a directory that can't be used as one. */
export async function openDisk(options: DiskOptions): Promise<Disk> {
  try {
    return await DiskOnFolder.open(options);
  } catch (error) {
    if (isLaneCacheError(error) || !(error instanceof StorageFault)) throw error;
    const reason = error.kind === 'disk-full' ? 'disk-full' : 'read-only';
    const detail = `the directory '${options.root}' can't be used: ${error.message}. The cache goes on in memory.`;
    options.events.emit('tier', { tier: 'l2', state: 'off', reason, detail, error });
    return withoutDisk(reason, new UnavailableCheckpointStore(reason, detail));
  }
}

function withoutDisk(reason: 'no-directory' | 'disk-full' | 'read-only', checkpoints: CheckpointStore): Disk {
  return {
    l2: new OffTier('l2', reason),
    l3: new OffTier('l3', reason),
    journal: undefined,
    persistence: undefined,
    checkpoints: () => checkpoints,
    whenFound: () => undefined,
    answer: () => undefined,
    leaveNote: () => Promise.resolve(),
    removeLeftovers: () => Promise.resolve({ orphanedSessions: 0, quarantinesRemoved: 0 }),
    close: () => checkpoints.close(),
  };
}

class DiskOnFolder implements Disk {
  readonly persistence: Persistence;
  private owned: Owned | undefined;
  private stopWaiting: (() => Promise<void>) | undefined;
  private store: CheckpointStore;
  private remote: RemoteCheckpointStore | undefined;
  private server: OperatorServer | undefined;
  private readonly answers: Map<string, Answer>;
  private readonly note: MissedNote;
  private owning: Promise<void> = Promise.resolve();
  private closing: Promise<void> | undefined;

  private constructor(
    private readonly options: DiskOptions,
    private readonly directory: LaneCacheDirectory,
    private readonly session: Session,
    readonly l2: DiskTier,
    readonly l3: PersistentTier,
    private readonly socket: OwnerSocket,
  ) {
    this.answers = new Map(checkpointAnswers(() => this.store));
    this.store = new UnavailableCheckpointStore('in-use', 'they have not been opened yet. Try again in a moment.');
    this.note = new MissedNote(directory.root);
    this.persistence = {
      directory: directory.l3,
      // who is just becoming the owner must be done with it first
      void: () => this.owning.then(() => l3.void()),
      noteMissed: () => (l3.isFollowed ? undefined : this.missed()),
    };
  }

  static async open(options: DiskOptions): Promise<DiskOnFolder> {
    const { root, clock, lanes, life, events, recorder, evicted, deadlineMs, minFreeBytes } = options;
    const directory = await LaneCacheDirectory.prepare({ root, liveness: socketLiveness, clock });
    await directory.removeDeadSessions();
    const session = await directory.openSession();
    const tier: StoredTierOptions = {
      lanes: withBenchLanes(lanes),
      clock,
      life,
      events,
      recorder,
      evicted,
    };
    const place = join(session.directory, 'l2');
    const folder = new CacheFolder({ directory: place, durability: 'session', clock, minFreeBytes, deadlineMs });
    const l2 = await DiskTier.open(folder, tier);
    const ownership = await acquireOwnership({ directory: directory.claims, liveness: socketLiveness, clock });
    const socket = await OwnerSocket.at(directory.claims);
    const l3 = ownership.state === 'owned' ? PersistentTier.unopened(tier) : PersistentTier.unattached(tier);
    const disk = new DiskOnFolder(options, directory, session, l2, l3, socket);
    if (ownership.state === 'owned') await disk.own(ownership);
    else disk.wait(ownership);
    return disk;
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
    if (this.owned !== undefined) await writeAppNote(this.options.root, note).catch(() => undefined);
  }

  async removeLeftovers(): Promise<{ readonly orphanedSessions: number; readonly quarantinesRemoved: number }> {
    const orphanedSessions = await this.directory.removeDeadSessions();
    const quarantinesRemoved =
      this.owned === undefined ? 0 : await removeOldQuarantines(this.directory.l3, this.options.clock);
    return { orphanedSessions, quarantinesRemoved };
  }

  close(): Promise<void> {
    this.closing ??= this.shut();
    return this.closing;
  }

  private async shut(): Promise<void> {
    await this.stopWaiting?.();
    await this.server?.close();
    await Promise.all([this.l2.close(), this.l3.close(), this.store.close()]);
    await this.owned?.release();
    await this.socket.leave();
    await this.session.remove();
  }

  private missed(): Promise<void> {
    this.l3.missed();
    return this.note.ensure();
  }

  private own(owned: Owned): Promise<void> {
    this.owned = owned;
    this.owning = this.attach();
    return this.owning;
  }

  private async attach(): Promise<void> {
    const { clock, minFreeBytes, deadlineMs, events, root } = this.options;
    await this.note.made();
    const folder = new CacheFolder({
      ...{ directory: this.directory.l3, durability: 'durable', clock, minFreeBytes, deadlineMs },
      entitled: () => this.requireOwnership(),
    } as const);
    const notes = await missedNotes(root);
    if (notes.length > 0) await folder.discard();
    await forgetMissed(root, notes);
    await this.l3.attach(folder);
    this.store = await openCheckpoints(this.options);
    this.remote?.succeed(this.store);
    await this.listen();
    events.emit('owner', { directory: root, state: 'owned' });
  }

  /**
   * Whoever removes the directory removes the claim on it, and another process may have made it anew by now. Rejects with
   * `StorageFault` if one has.
   */
  private async requireOwnership(): Promise<void> {
    const { owned } = this;
    if (owned === undefined || (await owned.stands())) return;
    const { clock, root } = this.options;
    const again = await acquireOwnership({ directory: this.directory.claims, liveness: socketLiveness, clock });
    if (again.state === 'in-use') {
      await again.whenFree(() => undefined)();
      throw new StorageFault('gone', `'${root}' was removed, and process ${again.ownerPid} has it now`);
    }
    this.owned = again;
    await owned.release().catch(() => undefined);
    await this.server?.close();
    await this.listen();
  }

  /** A process that cannot be asked is still a good owner. */
  private async listen(): Promise<void> {
    const { clock, events, root } = this.options;
    try {
      await this.socket.clear();
      this.server = await OperatorServer.listen(this.socket.path, this.answers, clock);
    } catch (error) {
      const detail = `other processes cannot reach the checkpoints in '${root}' through this one`;
      events.emit('tier', { tier: 'checkpoints', state: 'on', detail, error });
    }
  }

  private wait(inUse: InUse): void {
    const { events, root } = this.options;
    const { ownerPid } = inUse;
    this.store = this.throughOwner();
    events.emit('owner', { directory: root, state: 'waiting', ownerPid });
    this.stopWaiting = inUse.whenFree((owned) => {
      this.takeOver(owned).catch((error: unknown) => {
        const detail = `the directory '${root}' could not be taken over`;
        events.emit('tier', { tier: 'l3', state: 'off', reason: 'breaker', detail, error });
      });
    });
  }

  private throughOwner(): CheckpointStore {
    const { checkpoints, clock, deadlineMs } = this.options;
    if (checkpoints === false) return switchedOff();
    this.remote = new RemoteCheckpointStore({ path: this.socket.path, clock, deadlineMs });
    return this.remote;
  }

  /** What this process knew of the persistent tier it did not own is worth nothing now: memory and L2 start afresh. */
  private async takeOver(owned: Owned): Promise<void> {
    const { events, root } = this.options;
    await this.l2.discard().catch(() => undefined);
    await this.own(owned);
    events.emit('owner', { directory: root, state: 'taken-over' });
  }
}
