import { App, type CacheManager } from '../../lib/app/cache-app.js';
import { type AppContext, createContext } from '../../lib/app/app-context.js';
import { type Disk, noDisk } from '../../lib/app/disk-port.js';
import type { LaneCacheOptions } from '../../lib/app/options.js';
import type { SharedBackend } from '../../lib/app/redis-options.js';
import type { Persistence } from '../../lib/cache/lane-context.js';
import type { Turns } from '../../lib/cache/turns.js';
import { InvalidationLog, type LogOptions } from '../../lib/invalidation/invalidation-log.js';
import type { SharedLog } from '../../lib/invalidation/shared-log.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { OffTier } from '../../lib/tiers/off-tier.js';
import type { Tier } from '../../lib/tiers/tier.js';

/** What an app has before it is connected to other instances. */
export type ShareableApp = Pick<AppContext, 'life' | 'events' | 'recorder'> & {
  readonly clock: FakeClock;
  readonly log: InvalidationLog;
  readonly lanes: readonly string[];
};

/** The tier and the log that instances share, and the turns that they take. */
export type SharedParts = Pick<SharedBackend, 'log' | 'turns'> &
  Partial<Pick<SharedBackend, 'takenOver' | 'close'>> & { readonly tier: Tier };

/** A shared log on which nobody else is. */
export class QuietLog implements SharedLog {
  isStale = false;
  caughtUpUntil = Infinity;
  readonly cursor = undefined;
  readonly publish: SharedLog['publish'] = () => ({ held: Promise.resolve(false), copies: [] });
  readonly receivedOnHost = (): undefined => undefined;
  readonly whenCaughtUp = (): Promise<void> => Promise.resolve();
  readonly judge: SharedLog['judge'] = () => 'unknown';
  readonly hideOlder = (): void => undefined;
}

/** Each caller has its turn at once. */
export const FREE_TURNS: Turns = {
  take: () => Promise.resolve({ isHeld: () => Promise.resolve(true), end: () => undefined }),
};

export interface LaneAppOptions extends LogOptions, Pick<LaneCacheOptions, 'lanes' | 'types' | 'version'> {
  readonly clock?: FakeClock;
  /** The tiers below memory, by their names. */
  readonly below?: readonly Tier[];
  readonly persistence?: Persistence;
  /** Makes what the app shares with other processes of its directory. */
  readonly disk?: (app: ShareableApp) => Partial<Disk>;
  /** Makes what the app shares with other instances. */
  readonly share?: (app: ShareableApp) => SharedParts;
}

/** An app over tiers of a test's choosing, connected by the library itself. It is not started: nothing runs by a timer. */
export class LaneApp extends App {
  readonly clock: FakeClock;
  readonly log: InvalidationLog;
  readonly warnings: readonly string[];
  readonly lanes: readonly string[];
  readonly life: AppContext['life'];
  readonly events: AppContext['events'];
  readonly scopes: AppContext['scopes'];
  readonly memory = this.tiers.l1;

  constructor(options: LaneAppOptions = {}) {
    const { below = [], persistence, journal, share, disk: shareDisk, clock = new FakeClock(), ...settings } = options;
    const { lanes = {}, types = [], version = '' } = settings;
    const warnings: string[] = [];
    const context: AppContext = {
      ...createContext({
        lanes,
        types,
        version,
        clock,
        directory: false,
        logger: false,
        storage: { sweepEvery: false },
      }),
      warnOnce: (_subject, message) => void warnings.push(typeof message === 'string' ? message : message()),
    };
    const { life, events, scopes, recorder } = context;
    events.on('fault', ({ detail }) => {
      if (!warnings.includes(detail)) warnings.push(detail);
    });
    const names = [...context.lanes.keys()];
    const log = new InvalidationLog(options);
    const tier = (name: 'l2' | 'l3'): Tier => below.find((one) => one.name === name) ?? new OffTier(name, 'policy');
    const parts = { clock, life, events, log, recorder, lanes: names };
    const disk = { ...noDisk(), l2: tier('l2'), l3: tier('l3'), journal, persistence, ...shareDisk?.(parts) };
    const shared = share?.(parts);
    const nothing = (): Promise<void> => Promise.resolve();
    const checkpoints = disk.checkpoints();
    const backend = shared && {
      ...{ takenOver: nothing, close: nothing, ...shared, checkpoints, start: nothing },
      ...{ sharedReport: { isConnected: true, lagMs: 0, behind: 0 }, announce: nothing, instances: async () => [] },
    };
    super(context, { disk, log, backend });
    this.clock = clock;
    this.log = log;
    this.warnings = warnings;
    this.lanes = names;
    this.life = life;
    this.events = events;
    this.scopes = scopes;
  }
}

/** How many flights of a lane run. */
export const openFlights = (manager: CacheManager): number => manager['inFlight'].size;
