import type { Clock } from '../../../lib/clock/clock.js';
import { HostLog } from '../../../lib/invalidation/host-log.js';
import type { LogJournal, LogRow, LogState, StoredCursor, StoredPlace } from '../../../lib/invalidation/journal.js';
import type { SharedRecord } from '../../../lib/invalidation/shared-log.js';
import { ConnectionLost } from '../../../lib/ipc/client.js';
import type { EntryService } from '../../../lib/ipc/entry-service.js';
import { type EntryConnection, RemoteL3 } from '../../../lib/ipc/remote-l3.js';
import { SharedL3 } from '../../../lib/ipc/shared-l3.js';
import { resolveLanes } from '../../../lib/lanes/resolve-lanes.js';
import type { RedisBackend, RedisBackendOptions } from '../../../lib/redis/redis-backend.js';
import type { FakeClock } from '../../../lib/testing/fake-clock.js';
import { Jobs } from '../../support/jobs.js';
import { LaneApp, type ShareableApp } from '../../support/lane-app.js';
import type { ModelLogDisk, ModelLogFolder } from '../../support/model-log-disk.js';
import { ModelDisk, ModelTier } from '../../support/model-tier.js';
import { ModelOutbox } from '../shared-log/instance.js';

/** L3 on disk, with the place up to which it has followed the log. */
export class HostDisk extends ModelDisk {
  place: StoredPlace | undefined;
  private cursor: StoredCursor | undefined;
  /** Lies apart from what is emptied. */
  readonly outbox = new Map<string, SharedRecord>();

  override get log(): LogState {
    return { ...super.log, cursor: this.cursor, ...(this.place !== undefined && { place: this.place }) };
  }

  override empty(ceiling: number): void {
    super.empty(ceiling);
    this.place = this.cursor = undefined;
  }

  override write(row: LogRow): void {
    if (row.row === 'cursor') this.cursor = { generation: row.generation, sequence: row.sequence };
    if (row.row !== 'place') return super.write(row);
    const { generation, position, checksum } = row;
    this.place = { generation, position, checksum };
  }
}

/** Two processes speak through it. What is sent arrives when the world says so. */
export class Wire implements EntryConnection {
  readonly ownerPid = 1;
  readonly up: Buffer[] = [];
  readonly down: Buffer[] = [];
  isCut = false;
  private take: (body: Buffer) => void = () => undefined;
  private lost: () => void = () => undefined;

  constructor(
    readonly from: HostProcess,
    readonly to: HostProcess,
  ) {}

  onEntryFrame(take: (body: Buffer) => void): void {
    this.take = take;
  }

  whenLost(tell: () => void): void {
    this.lost = tell;
  }

  sendEntryFrame(body: Buffer): void {
    if (!this.isCut) this.up.push(body);
  }

  async *parts(): AsyncGenerator<never> {
    // Nothing is listed.
  }

  hold(): void {
    // Nothing keeps the process of the test alive.
  }

  release(): void {
    // As above.
  }

  /** The owner gets the oldest frame. */
  deliverUp(): void {
    const frame = this.up.shift();
    if (frame !== undefined) this.to.service?.serve(frame, (reply) => void (this.isCut || this.down.push(reply)));
  }

  deliverDown(): void {
    const frame = this.down.shift();
    if (frame !== undefined) this.take(frame);
  }

  close(): void {
    this.isCut = true;
    this.up.length = this.down.length = 0;
  }

  cut(): void {
    if (this.isCut) return;
    this.close();
    this.lost();
  }
}

/** What the processes of one world share. */
export interface Host {
  readonly clock: FakeClock;
  readonly files: ModelLogDisk;
  readonly l3: HostDisk;
  /** The owner of now, if it can be connected to. */
  readonly connect: (from: HostProcess) => Wire | undefined;
  /** Makes what a process shares with other hosts. */
  readonly share?: (app: ShareableApp, own: OwnFolders) => RedisBackend;
}

/** What a process has while it owns the directory. */
type OwnFolders = Pick<RedisBackendOptions, 'journal' | 'outbox' | 'unpublished'>;

const LANES = { standard: { ttl: '1h' } } as const;
const NEVER: Clock = { now: () => 0, monotonic: () => 0, schedule: () => () => undefined };

/** One life of one process: the library's own code over modelled files, a modelled L3 and modelled connections. */
export class HostProcess {
  readonly app: LaneApp;
  readonly jobs = new Jobs();
  readonly folder: ModelLogFolder;
  readonly l3: ModelTier;
  private readonly sharedL3: SharedL3;
  isAlive = true;
  isFrozen = false;
  isOwner = false;
  service: EntryService | undefined;
  backend: RedisBackend | undefined;
  private outbox: ModelOutbox | undefined;
  private hostLog: HostLog | undefined;
  private adopt: (journal: LogJournal) => void = () => undefined;

  static async start(host: Host): Promise<HostProcess> {
    const process = new HostProcess(host);
    await process.hostLog?.open();
    await process.app.start();
    if (process.app.serverInvalidations !== undefined) void process.backend?.start(process.app.serverInvalidations);
    return process;
  }

  private constructor(private readonly host: Host) {
    const { clock, files, share } = host;
    const journal = (): LogJournal | undefined => (this.isOwner && this.isAlive ? this.l3 : undefined);
    this.folder = files.folderOf(this.jobs);
    this.l3 = new ModelTier('l3', ['standard'], host.l3, this.jobs);
    this.l3.isAttached = false;
    this.sharedL3 = new SharedL3(this.l3);
    this.app = new LaneApp({
      clock,
      tagLimit: 4,
      lanes: LANES,
      ...(share !== undefined && {
        share: (app) => {
          const unpublished = new Map(host.l3.outbox);
          const backend = share(app, { journal, outbox: () => this.outbox, unpublished });
          this.backend = backend;
          const { tier, log, turns } = backend;
          return { tier, log, turns, takenOver: () => backend.takenOver() };
        },
      }),
      disk: ({ life, events }) => {
        const hostLog = new HostLog({
          ...{ folder: this.folder, clock, life, idleClock: NEVER },
          journal,
          ownsL3: () => this.l3.isFollowed,
          changed: () => undefined,
        });
        this.hostLog = hostLog;
        return {
          l3: this.sharedL3,
          hostLog,
          persistence: {
            directory: 'l3',
            isEmpty: () => !this.l3.isFollowed || this.l3.isEmpty,
            invalidateAll: () => this.l3.empty(),
            noteMissed: () => (this.l3.isFollowed ? undefined : Promise.resolve()),
          },
          whenFound: (adopt) => {
            this.adopt = adopt;
          },
          shareEntries: ({ service, position, sharedLog }) => {
            this.service = service;
            const lanes = resolveLanes(LANES);
            const open = (): Promise<EntryConnection> => this.connect();
            this.sharedL3.remote = new RemoteL3({
              path: '',
              lanes,
              clock,
              life,
              events,
              hostLog,
              sharedLog,
              position,
              open,
            });
            return this.sharedL3.remote.connect();
          },
        };
      },
    });
  }

  /** It becomes the owner of L3, and carries out what L3 has missed. */
  claim(): void {
    const { l3, host, hostLog, sharedL3 } = this;
    if (hostLog === undefined) return;
    sharedL3.remote?.inherit();
    this.isOwner = true;
    if (host.share !== undefined) this.outbox = new ModelOutbox(host.l3.outbox, this.jobs);
    l3.isAttached = true;
    l3.opened();
    const isNew = l3.isEmpty && host.l3.place === undefined;
    if (!isNew && !hostLog.knows(host.l3.place)) host.l3.empty(host.l3.ceiling);
    host.l3.place ??= hostLog.place;
    this.l3.isFollowed = true;
    this.adopt(l3);
    for (const offer of sharedL3.remote?.leave() ?? []) this.service?.serve(offer, () => undefined);
  }

  /** Whether it follows what lies in the folder now. */
  get isInPlace(): boolean {
    const current = this.hostLog?.['current'];
    return current?.state !== 'on' || current.files.segment.isInPlace;
  }

  /** Another record ends the segment: what is appended behind it counts in the next one only. */
  rotate(): void {
    const current = this.hostLog?.['current'];
    if (current?.state === 'on') current.files.segment.rotate().catch(() => undefined);
  }

  /** As SIGKILL: nothing that it still does reaches anybody. */
  kill(how: 'at-once' | 'torn'): void {
    if (how === 'torn') this.folder.tear();
    this.isAlive = this.isOwner = this.l3.isFollowed = false;
    this.jobs.forget(this.folder);
    this.jobs.forget(this.l3);
    this.l3.isAttached = false;
    this.outbox?.kill();
    this.app.scopes.end();
    void this.backend?.close();
  }

  private connect(): Promise<EntryConnection> {
    if (!this.isAlive) return new Promise(() => undefined);
    const wire = this.host.connect(this);
    return wire === undefined ? Promise.reject(new ConnectionLost('nobody owns it')) : Promise.resolve(wire);
  }
}
