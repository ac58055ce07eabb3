import { join } from 'node:path';
import type { Persistence } from '../cache/lane-context.js';
import type { CheckpointStore } from '../checkpoints/checkpoint-store.js';
import { UnavailableCheckpointStore } from '../checkpoints/unavailable-checkpoint-store.js';
import { isLaneCacheError } from '../errors/lane-cache.error.js';
import type { HostReport } from '../metrics/lane-cache-metrics.js';
import { Retry } from '../clock/retry.js';
import { settledWithin } from '../clock/clock.js';
import { EVERYTHING, type Outbox, type SharedRecord } from '../invalidation/shared-log.js';
import { HostLog } from '../invalidation/host-log.js';
import type { LogJournal } from '../invalidation/journal.js';
import { KEYS_CALL } from '../ipc/entry-frames.js';
import { checkpointAnswers, RemoteCheckpointStore } from '../ipc/remote-checkpoint-store.js';
import { RemoteL3 } from '../ipc/remote-l3.js';
import { SharedL3 } from '../ipc/shared-l3.js';
import { type Answer, IpcServer } from '../ipc/server.js';
import { socketLiveness } from '../ipc/socket.js';
import { HostLeases, turnNameOf, TurnTable } from '../ipc/turn-table.js';
import {
  LaneCacheDirectory,
  MissedMarker,
  OwnershipCheck,
  type Session,
  writeAppRecord,
  CacheFolder,
  PersistentFolder,
} from '../storage/directory/cache-directory.js';
import {
  type LockHolder,
  OwnerSocket,
  acquireOwnership,
  type InUse,
  type Owned,
} from '../storage/directory/owner-lock.js';
import { OutboxFiles } from '../storage/directory/outbox-files.js';
import { StorageFault } from '../storage/environment.js';
import { removeOldQuarantines } from '../storage/files/quarantine.js';
import { FreeSpaceLimit } from '../storage/lmdb/free-space.js';
import { loadLmdb } from '../storage/lmdb/lmdb-table.js';
import { OpenDirectories } from '../storage/lmdb/open-environment.js';
import { FolderOnDisk } from '../storage/files/log-files.js';
import { PersistentTier } from '../tiers/persistent-tier.js';
import { FOLDER_RETRIES } from '../tiers/store-supervisor.js';
import { DiskTier } from '../tiers/stored-tier.js';
import { offReasonOf } from '../tiers/tier.js';
import { asStorageFault, CheckpointDirectory, switchedOff } from './checkpoint-directory.js';
import type { Disk, DiskOptions, EntrySharing, Leftovers, Stranger } from './disk-port.js';
import { INVALIDATION_KINDS } from '../events/reasons.js';

/**
 * What this process is to the directory.
 *
 *     opening ──> unavailable ──> waiting ──> owner ──> closed
 *        └──────────────┴────────────┴──────────^
 */
type Phase = Opening | Unavailable | Waiting | Owner | Closed;

/** The first attempt to open the directory has not ended yet. */
interface Opening {
  readonly name: 'opening';
}

/** The directory cannot be used. The app works in memory, and the directory is tried again. */
interface Unavailable {
  readonly name: 'unavailable';
}

/** Another process owns the directory. */
interface Waiting {
  readonly name: 'waiting';
  readonly place: Place;
  /** By now. */
  owner: LockHolder;
  /** Ends the attempts to become the owner, after the one under way. */
  readonly stopWaiting: () => Promise<void>;
  /** Undefined if no checkpoints are kept. */
  readonly remote: RemoteCheckpointStore | undefined;
}

interface Owner {
  readonly name: 'owner';
  readonly place: Place;
  readonly ownership: OwnershipCheck;
  /** Settles when everything in the directory has been opened. */
  readonly attached: Promise<void>;
  /** The checkpoints of the owner before, whose calls go on with this process's own. */
  readonly remote: RemoteCheckpointStore | undefined;
  /** Once it has been read. */
  outbox: Outbox | undefined;
  /** Once other processes can ask this one. */
  server: IpcServer | undefined;
}

interface Closed {
  readonly name: 'closed';
}

/** What a process that becomes the owner had as a waiting one. */
interface Inheritance {
  /** What must end before anything is opened. */
  readonly before: Promise<void>;
  readonly remote?: RemoteCheckpointStore | undefined;
}

interface Place {
  readonly directory: LaneCacheDirectory;
  /** Where the owner answers other processes. */
  readonly socket: OwnerSocket;
}

/** How long an app waits at boot for an owner that does not answer. */
const CONNECT_WITHIN_MS = 250;
/** More than opening a directory writes. */
const OPENING_BYTES = 4 * 1024 * 1024;
const NOT_OPENED = 'they have not been opened yet. Try again in a moment.';
const WITHOUT_DIRECTORY =
  "Tier l3 and the checkpoints are off with it: nothing survives a restart, and no checkpoint can be saved or restored. Name a directory that the app may write to, with the option 'directory' or the environment's LANE_CACHE_DIR";
const NO_OFFERS = Object.freeze({ taken: 0, refused: 0 });
const NO_KEYS: Promise<void> = Promise.resolve();
const NO_LEFTOVERS: Leftovers = Object.freeze({ orphanedSessions: 0, quarantinesRemoved: 0 });

/** What an app keeps in a directory that other processes may use as well. One of them owns it. */
export class SharedDirectory implements Disk {
  readonly l2: DiskTier;
  readonly l3: SharedL3;
  readonly persistence: Persistence;
  readonly hostLog: HostLog;
  readonly leases: HostLeases;
  private phase: Phase = { name: 'opening' };
  private store: CheckpointStore = new UnavailableCheckpointStore('in-use', NOT_OPENED);
  /** This process's own, as soon as it could be made. */
  private session: Session | undefined;
  private readonly retry: Retry;
  /** The retry under way. */
  private retrying: Promise<void> = Promise.resolve();
  private closing: Promise<void> | undefined;
  /** Created at the first question of another process. */
  private answers: ReadonlyMap<string, Answer> | undefined;
  private appAnswers: () => readonly (readonly [string, Answer])[] = () => [];
  private readonly marker: MissedMarker;
  private logState: 'on' | 'off' | undefined;
  private logLosses = 0;
  /** The last record of the app that is being written. Each waits for the one before. */
  private recording: Promise<void> = Promise.resolve();
  /** L3 while this process owns the directory. */
  private readonly owned: PersistentTier;
  private sharing: EntrySharing | undefined;
  unpublished: ReadonlyMap<string, SharedRecord> = new Map();
  /** Of the processes of the directory, while this one owns it. */
  private readonly turns: TurnTable;
  private readonly opened = new OpenDirectories();

  /**
   * Opens the directory and claims it. A directory that cannot be used now turns the disk off, and is tried again.
   * Rejects with LaneCacheError if it can never be used.
   */
  static async open(options: DiskOptions): Promise<SharedDirectory> {
    await loadLmdb(options.root);
    const disk = new SharedDirectory(options);
    try {
      await disk.openOnce();
    } catch (error) {
      if (isLaneCacheError(error)) {
        await disk.close();
        throw error;
      }
      disk.becomeUnavailable(asStorageFault(error));
    }
    return disk;
  }

  private constructor(private readonly options: DiskOptions) {
    const { root, clock } = options;
    const directory = join(root, 'l3');
    const l3 = PersistentTier.unattached(options);
    this.l2 = DiskTier.unattached(options);
    this.owned = l3;
    this.l3 = new SharedL3(l3);
    this.turns = new TurnTable(clock);
    this.leases = new HostLeases({ clock, owner: () => this.tableOrSocket });
    this.retry = new Retry(clock, FOLDER_RETRIES);
    this.marker = new MissedMarker(root, directory);
    this.hostLog = new HostLog({
      folder: new FolderOnDisk(join(root, 'log')),
      clock,
      life: options.life,
      journal: () => this.journal,
      ownsL3: () => l3.isFollowed,
      changed: (state, error) => this.reportLog(state, error),
    });
    l3.follows(this.history());
    this.persistence = l3.persistence({
      directory,
      // A process that is becoming the owner must have opened everything first.
      whenOpened: async () => {
        if (this.phase.name === 'owner') await this.phase.attached;
      },
      noteMissed: () => this.noteMissed(),
    });
  }

  mayStore(lane: string, key: string, turn: string): boolean {
    return this.turns.mayStore(turnNameOf(lane, key), turn);
  }

  private get tableOrSocket(): TurnTable | string | undefined {
    const { phase } = this;
    // Without the log of the directory processes do not find each other's values.
    if (!this.hostLog.isOn) return undefined;
    if (phase.name === 'owner') return this.turns;
    return phase.name === 'waiting' ? phase.place.socket.path : undefined;
  }

  get journal(): LogJournal | undefined {
    return this.phase.name === 'owner' ? this.owned : undefined;
  }

  get outbox(): Outbox | undefined {
    return this.phase.name === 'owner' ? this.phase.outbox : undefined;
  }

  checkpoints(): CheckpointStore {
    return this.store;
  }

  whenFound(adopt: (journal: LogJournal) => void): void {
    this.owned.whenFound(() => {
      this.options.life.notBefore(this.owned.initial.latestTime);
      adopt(this.owned);
    });
  }

  get host(): HostReport | undefined {
    const { phase, hostLog } = this;
    if (phase.name !== 'owner' && phase.name !== 'waiting') return undefined;
    const owner = phase.name === 'owner' ? { pid: process.pid, session: this.session?.name } : phase.owner;
    const processes = phase.place.directory
      .processes()
      .map(({ session, pid, since, version }): HostReport['processes'][number] => {
        // An owner of an earlier release does not name its session.
        const isOwner = owner.session === undefined ? pid === owner.pid : session === owner.session;
        return { pid, role: isOwner ? 'owner' : 'follower', since: new Date(since).toISOString(), version };
      });
    const isAlone = phase.name === 'owner' && processes.length < 2;
    return {
      directory: this.options.root,
      role: isAlone ? 'alone' : phase.name === 'owner' ? 'owner' : 'follower',
      processes,
      log: { position: hostLog.place?.position ?? 0, behindBytes: hostLog.behindBytes, losses: this.logLosses },
      offers: { ...(this.sharing?.service.offers ?? NO_OFFERS) },
    };
  }

  get strangers(): readonly Stranger[] {
    const { phase } = this;
    if (phase.name !== 'owner' && phase.name !== 'waiting') return [];
    return phase.place.directory.processes().flatMap(({ pid, server }) => {
      return server === undefined || server === this.options.server ? [] : [{ pid, server }];
    });
  }

  answer(answers: () => readonly (readonly [string, Answer])[]): void {
    this.appAnswers = answers;
  }

  async shareEntries(sharing: EntrySharing): Promise<void> {
    this.sharing = sharing;
    if (this.phase.name === 'waiting') await this.connectL3(this.phase);
  }

  leaveRecord(record: unknown): Promise<void> {
    this.recording = this.recording.then(async () => {
      if (this.phase.name === 'owner') await writeAppRecord(this.options.root, record).catch(() => undefined);
    });
    return this.recording;
  }

  async removeLeftovers(): Promise<Leftovers> {
    const { phase } = this;
    if (phase.name !== 'owner' && phase.name !== 'waiting') return NO_LEFTOVERS;
    const { directory } = phase.place;
    const orphanedSessions = await directory.removeDeadSessions();
    const quarantinesRemoved =
      phase.name === 'owner' ? await removeOldQuarantines(directory.l3, this.options.clock) : 0;
    return { orphanedSessions, quarantinesRemoved };
  }

  close(): Promise<void> {
    this.closing ??= this.closeOnce();
    return this.closing;
  }

  /** Ends what is under way first: it may still make this process the owner, and everything is closed as the owner's. */
  private async closeOnce(): Promise<void> {
    this.retry.cancel();
    await this.retrying;
    if (this.phase.name === 'waiting') await this.phase.stopWaiting();
    const { phase } = this;
    this.leases.close();
    this.turns.close();
    if (phase.name === 'waiting') await this.l3.remote?.close();
    if (phase.name === 'owner') {
      await phase.attached.catch(() => undefined);
      await phase.server?.close();
    }
    await this.hostLog.close();
    await Promise.all([this.l2.close(), this.l3.close(), this.store.close()]);
    if (phase.name === 'owner') await this.release(phase.ownership);
    if (phase.name === 'owner' || phase.name === 'waiting') await phase.place.socket.leave();
    await this.session?.remove();
    this.phase = { name: 'closed' };
    this.l3.remote = undefined;
  }

  /** The next owner must not find LMDB still open: an environment that hangs keeps the claim until it is closed. */
  private async release(ownership: OwnershipCheck): Promise<void> {
    const released = this.opened.none().then(() => ownership.release());
    if (this.opened.isEmpty) await released;
    else released.catch(() => undefined);
  }

  /** Goes on where an earlier attempt failed. Rejects with StorageFault or LaneCacheError. */
  private async openOnce(): Promise<void> {
    const { root, clock, steps, minFreeBytes } = this.options;
    const prepared = LaneCacheDirectory.prepare({ root, liveness: socketLiveness, clock });
    const directory = await steps.during('its folders', prepared);
    const removed = this.removeSessions(directory);
    // L2 of a process that was killed may have the room that opening takes.
    if (!new FreeSpaceLimit(root, minFreeBytes).hasRoom(OPENING_BYTES)) await removed;
    await steps.during('the log of the directory', this.hostLog.open());
    const opening = this.session === undefined ? await this.openSession(directory) : undefined;
    try {
      const { claims } = directory;
      const session = this.session?.name;
      const owning = acquireOwnership({ directory: claims, liveness: socketLiveness, clock, session });
      const ownership = await steps.during('the answer of its owner', owning);
      const place = { directory, socket: await OwnerSocket.at(claims) };
      if (ownership.state === 'in-use') {
        this.unpublished = recordsOf(await OutboxFiles.read(root));
        this.becomeWaiting(place, ownership);
      } else await this.becomeOwner(place, ownership, { before: Promise.resolve() });
    } finally {
      await Promise.all([removed, opening?.l2]);
    }
  }

  /** Never rejects: what cannot be removed now, each sweep tries again. */
  private async removeSessions(directory: LaneCacheDirectory): Promise<void> {
    const removed = directory.removeDeadSessions();
    await this.options.steps.during('the removal of what ended processes left', removed).catch(() => undefined);
  }

  /** `l2` settles when L2 is open. It never rejects. */
  private async openSession(directory: LaneCacheDirectory): Promise<{ readonly l2: Promise<void> }> {
    const { clock, deadlineMs, minFreeBytes, steps } = this.options;
    this.session = await directory.openSession(this.options);
    const folder = join(this.session.directory, 'l2');
    const l2 = new CacheFolder({ directory: folder, durability: 'session', clock, minFreeBytes, deadlineMs });
    return { l2: steps.during('l2', this.l2.attach(l2)) };
  }

  private becomeUnavailable(fault: StorageFault): void {
    const { root, events } = this.options;
    const reason = offReasonOf(fault.kind);
    const detail = `the directory '${root}' can't be used: ${fault.message}. ${WITHOUT_DIRECTORY}`;
    if (this.phase.name === 'opening') {
      this.l2.hold(reason);
      this.owned.hold(reason);
      events.emit('tier', { tier: 'l2', state: 'off', reason, detail });
    }
    this.phase = { name: 'unavailable' };
    this.store = new UnavailableCheckpointStore(reason, detail);
    this.retry.schedule(() => {
      this.retrying = this.openOnce().catch((error: unknown) => {
        if (this.closing === undefined) this.becomeUnavailable(asStorageFault(error));
      });
    });
  }

  private becomeWaiting(place: Place, inUse: InUse): void {
    const { events, root, checkpoints, clock, deadlineMs } = this.options;
    const remote =
      checkpoints === false ? undefined : new RemoteCheckpointStore({ path: place.socket.path, clock, deadlineMs });
    this.store = remote ?? switchedOff();
    this.owned.hold('in-use');
    const report = ({ pid }: LockHolder): void =>
      events.emit('owner', { directory: root, state: 'waiting', ownerPid: pid });
    report(inUse.first);
    const stopWaiting = inUse.whenFree(
      (owned) => void this.takeOver(place, owned, remote),
      (owner) => {
        waiting.owner = owner;
        report(owner);
      },
    );
    const waiting: Waiting = { name: 'waiting', place, owner: inUse.first, stopWaiting, remote };
    this.phase = waiting;
    void this.connectL3(waiting);
  }

  /** Resolves after a moment at the latest. */
  private async connectL3(waiting: Waiting): Promise<void> {
    const { clock, life, events, lanes } = this.options;
    const { sharing, hostLog } = this;
    if (sharing === undefined || this.l3.remote !== undefined || this.closing !== undefined) return;
    const { position, sharedLog } = sharing;
    const { path } = waiting.place.socket;
    const remote = new RemoteL3({ path, lanes, clock, life, events, hostLog, sharedLog, position });
    this.l3.remote = remote;
    await settledWithin(clock, remote.connect(), CONNECT_WITHIN_MS);
  }

  /** Without a log of the directory L2 is emptied: nobody has judged what this process stored there. Never rejects. */
  private async takeOver(place: Place, owned: Owned, remote: RemoteCheckpointStore | undefined): Promise<void> {
    const l3 = this.l3.remote;
    l3?.inherit();
    const before = this.hostLog.isOn ? Promise.resolve() : this.l2.discard().catch(() => undefined);
    await this.becomeOwner(place, owned, { before, remote });
    this.l3.remote = undefined;
    for (const offer of l3?.leave() ?? []) this.sharing?.service.serve(offer, () => undefined);
    this.options.events.emit('owner', { directory: this.options.root, state: 'taken-over' });
  }

  /** Rejects with LaneCacheError at boot only: an app that runs goes on without what it cannot open, and tries again. */
  private becomeOwner(place: Place, owned: Owned, { before, remote }: Inheritance): Promise<void> {
    const { root, clock, events } = this.options;
    const ownership = new OwnershipCheck(owned, {
      root,
      clock,
      liveness: socketLiveness,
      session: this.session?.name,
      renewed: () => this.listen(owner),
      refused: (ownerPid) => events.emit('owner', { directory: root, state: 'refused', ownerPid }),
    });
    const { name } = this.phase;
    const attached = before.then(() => this.attach(owner, name));
    const opening = { outbox: undefined, server: undefined };
    const owner: Owner = { name: 'owner', place, ownership, attached, remote, ...opening };
    this.phase = owner;
    return attached;
  }

  private async attach(owner: Owner, from: Phase['name']): Promise<void> {
    const { clock, minFreeBytes, deadlineMs, events, root, steps } = this.options;
    const { directory } = this.persistence;
    const { opened } = this;
    const requireOwnership = (): Promise<void> => owner.ownership.require();
    await this.marker.made();
    owner.outbox = await openOutbox(root);
    const folder = new PersistentFolder({ root, directory, clock, minFreeBytes, deadlineMs, opened, requireOwnership });
    const l3 = steps.during('l3', this.owned.attach(folder));
    const use = (store: CheckpointStore): Promise<void> => this.useCheckpoints(owner, store);
    const checkpoints = new CheckpointDirectory({ ...this.options, opened }, requireOwnership, use);
    try {
      const opening = from === 'opening' ? checkpoints.open() : checkpoints.openOrRetry();
      await use(await steps.during('the checkpoints', opening));
    } finally {
      await l3;
    }
    await this.listen(owner);
    events.emit('owner', { directory: root, state: 'owned' });
  }

  private async useCheckpoints(owner: Owner, store: CheckpointStore): Promise<void> {
    this.store = store;
    owner.remote?.succeed(store);
    if (this.closing !== undefined) await store.close();
  }

  /** Answers other processes from now on. A process that cannot be asked is still a good owner. */
  private async listen(owner: Owner): Promise<void> {
    const { clock, events, root, serves } = this.options;
    const { socket } = owner.place;
    await owner.server?.close();
    if (serves === 'nobody') return;
    try {
      await socket.clear();
      owner.server = await IpcServer.listen(socket.path, { get: (call) => this.answerOf(call) }, clock, {
        entries: (body, reply) => this.sharing?.service.serve(body, reply),
        left: this.turns.left,
      });
    } catch (error) {
      const detail = `other processes cannot reach the checkpoints in '${root}' through this one`;
      events.emit('tier', { tier: 'checkpoints', state: 'on', detail, error });
      owner.server = undefined;
    }
  }

  private answerOf(call: string): Answer | undefined {
    this.answers ??= new Map([
      ...checkpointAnswers(() => this.store),
      ...this.turns.answers,
      [KEYS_CALL, ([lane]: readonly unknown[]) => this.sharing?.service.keys(String(lane)) ?? NO_KEYS] as const,
      ...this.appAnswers(),
    ]);
    return this.answers.get(call);
  }

  /** The log as L3 of the directory uses it: what it has missed and cannot catch up on is lost. */
  private history(): Parameters<PersistentTier['follows']>[0] {
    const { hostLog } = this;
    const knows: HostLog['knows'] = (place) => {
      const isKnown = hostLog.knows(place);
      if (!isKnown && hostLog.isOn) this.reportLog('lost');
      return isKnown;
    };
    return {
      get place() {
        return hostLog.place;
      },
      knows,
    };
  }

  /** Once for as long as it stays so. A directory that cannot be used at all has been reported already. */
  private reportLog(state: 'on' | 'off' | 'lost', error?: unknown): void {
    const { events, root } = this.options;
    if (state === 'lost') this.logLosses++;
    else {
      if (this.logState === state || (state === 'off' && this.phase.name === 'unavailable')) return;
      this.logState = state;
    }
    events.emit('host', { directory: root, state, ...(error !== undefined && { error }) });
  }

  /** The owner hears of it by the log of the directory, if there is one. */
  private noteMissed(): Promise<void> {
    if (this.hostLog.isOn) return Promise.resolve();
    this.owned.missed();
    return this.marker.ensure();
  }
}

/** The records of the shared log that could not be published yet, in the directory of an app. */
async function openOutbox(root: string): Promise<Outbox> {
  const files = await OutboxFiles.open(root);
  return {
    found: recordsOf(files.found),
    keep: (records) => files.keep(new Map([...records].map(([id, record]) => [id, stringifyRecord(record)]))),
    forget: (ids) => files.forget(ids),
  };
}

const recordsOf = (texts: ReadonlyMap<string, string>): ReadonlyMap<string, SharedRecord> =>
  new Map([...texts].map(([id, text]) => [id, parseRecord(text)]));

/** As JSON, which keeps lone surrogates that UTF-8 would lose. */
const stringifyRecord = ({ kind, lane, subject }: SharedRecord): string => JSON.stringify([kind, lane, subject]);

/** A text that cannot be parsed may have named anything, so it counts as everything. */
function parseRecord(text: string): SharedRecord {
  try {
    const [kind, lane, subject]: readonly unknown[] = JSON.parse(text);
    const known = INVALIDATION_KINDS.find((one) => one === kind);
    if (known === undefined || typeof subject !== 'string') return EVERYTHING;
    return lane === null || typeof lane === 'string' ? { kind: known, lane, subject } : EVERYTHING;
  } catch {
    return EVERYTHING;
  }
}
