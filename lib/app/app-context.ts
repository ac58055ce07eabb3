import { join, resolve } from 'node:path';
import type { Tracing } from '../cache/lane-context.js';
import { labelsOfRecord } from '../checkpoints/checkpoint-validation.js';
import { KeyHistory } from '../cache/key-history.js';
import { FlightScopes } from '../cache/wait-graph.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { checkedClock, systemClock, type Clock, LifeClock, KeepAlive } from '../clock/clock.js';
import { ValueCodec } from '../entries/codec/value-codec.js';
import { appRecord, type AppRecord, recordedCheckpoints } from '../ipc/app-record.js';
import { UnknownLaneError } from '../errors/cache.errors.js';
import { EventBus, Faults } from '../events/event-bus.js';
import { fullDetail, guardedTarget, logEvents, type LogTarget, reportListener } from '../events/event-log.js';
import { causeText } from '../events/event-texts.js';
import type { ReportFault } from '../events/reasons.js';
import { GuardedStrategy } from '../events/guarded-strategy.js';
import type { LaneRecorder } from '../events/recorder.js';
import { millisecondsText, parseSize, toMilliseconds } from '../lanes/units.js';
import type { LaneName, ResolvedLane } from '../lanes/policy.js';
import { lanesInMilliseconds, resolveLanes } from '../lanes/resolve-lanes.js';
import { LaneCounters } from '../metrics/lane-counters.js';
import type { MetricsReport } from '../metrics/lane-cache-metrics.js';
import { readOptions, type LaneCacheOptions } from './options.js';
import { SharedDirectory } from './shared-directory.js';
import { noDisk, type Disk, type MakeCheckpoints } from './disk-port.js';

/** `look` opens a directory for a moment, to read or change what is in it. Nothing is counted for its app. */
export type Purpose = 'serve' | 'look';

/** What an app is opened for, and what replaces its own parts. */
export interface AppParts {
  /** Default 'serve'. */
  readonly purpose?: Purpose;
  /** The checkpoints of an app without a directory. Default: none are kept. */
  readonly checkpoints?: MakeCheckpoints | undefined;
  /** Follows what callers wait for. Default: nothing does. */
  readonly tracing?: Tracing | undefined;
}

/** The checked settings of an app, and what needs no I/O: clocks, codec, events, counters. */
export interface AppContext {
  readonly purpose: Purpose;
  readonly tracing: Tracing | undefined;
  /** Undefined if checkpoints need a directory. */
  readonly makeCheckpoints: MakeCheckpoints | undefined;
  readonly options: LaneCacheOptions;
  readonly lanes: ReadonlyMap<string, ResolvedLane>;
  readonly defaultLane: string;
  readonly clock: Clock;
  readonly life: LifeClock;
  readonly codec: ValueCodec;
  readonly events: EventBus;
  readonly counters: ReadonlyMap<string, LaneCounters>;
  readonly recorder: (lane: string) => LaneRecorder;
  readonly historyOf: (lane: string) => KeyHistory;
  readonly scopes: FlightScopes;
  /** Keeps the process alive while callers wait. */
  readonly hold: KeepAlive;
  /** Writes a line to the log, at its normal level. */
  readonly note: (message: string) => void;
  readonly warnOnce: (subject: string, message: string | (() => string)) => void;
  /** The faults of what the app handed in. */
  readonly faults: Faults;
  readonly steps: StartSteps;
}

const DEFAULT_LANE = 'standard';
const DEFAULT_DIRECTORY = '.lane-cache';
export const DEFAULT_PREFIX = 'lane-cache';
const DEFAULT_DEADLINE_MS = 5_000;

/** Throws LaneCacheError for bad settings. */
export function createContext(
  settings: LaneName | LaneCacheOptions | undefined,
  { purpose = 'serve', checkpoints, tracing }: AppParts = {},
): AppContext {
  const options = readOptions(settings);
  const lanes = withGuardedStrategies(resolveLanes(options.lanes), (fault) => faults.report(fault));
  const defaultLane = options.lane ?? DEFAULT_LANE;
  if (!lanes.has(defaultLane)) throw new UnknownLaneError(defaultLane, [...lanes.keys()]);
  const clock =
    options.clock === undefined
      ? systemClock
      : checkedClock(options.clock, (what) => {
          return new LaneCacheError('OPTIONS_INVALID', `The settings: clock.${what}.`, { field: 'clock' });
        });
  const logger = loggerOf(options, (fault) => faults.count(fault));
  const events = eventBus(clock, logger, options, (fault) => faults.count(fault));
  const counters = new Map(Array.from(lanes.keys(), (lane) => [lane, new LaneCounters(lane, events)]));
  const histories = new Map(Array.from(lanes.keys(), (lane) => [lane, new KeyHistory()]));
  const warnOnce = warningsOnce(logger);
  const faults = new Faults(events, warnOnce);
  warnOfMilliseconds(options, lanes, warnOnce);
  return {
    purpose,
    tracing,
    makeCheckpoints: options.checkpoints === false ? undefined : checkpoints,
    options,
    lanes,
    defaultLane,
    clock,
    codec: codecOf(options, (fault) => faults.report(fault)),
    events,
    counters,
    life: new LifeClock(clock),
    scopes: new FlightScopes(),
    hold: new KeepAlive(clock),
    recorder: (lane) => counters.get(lane) ?? new LaneCounters(lane, events),
    historyOf: (lane) => histories.get(lane) ?? new KeyHistory(),
    note: (message) => void logger?.log(message),
    warnOnce,
    faults,
    steps: new StartSteps(),
  };
}

/** With what decides the evictions of adaptive lanes, and compares policies in others; loaded only if there are any. */
export async function withEvictions(context: AppContext): Promise<AppContext> {
  const { lanes, life, purpose } = context;
  const takesPart = ({ policy }: ResolvedLane): boolean => policy.eviction === 'adaptive' || policy.compareEviction;
  if (purpose === 'look' || ![...lanes.values()].some(takesPart)) return context;
  const { LaneEviction } = await import('../eviction/lane-eviction.js');
  const withEviction = (lane: ResolvedLane): ResolvedLane => {
    if (!takesPart(lane)) return lane;
    const { eviction, compression } = lane.policy;
    const mode = eviction === 'adaptive' ? 'rule' : 'observe';
    const decides = new LaneEviction({ now: () => life.now(), mode, compresses: compression.enabled });
    return { policy: lane.policy, strategy: lane.strategy, eviction: decides };
  };
  return { ...context, lanes: new Map(Array.from(lanes, ([name, lane]) => [name, withEviction(lane)])) };
}

/** The bus of events, which the logger follows. A listener that fails is counted, and reported once. */
function eventBus(
  clock: Clock,
  logger: LogTarget | undefined,
  { debug = false }: LaneCacheOptions,
  count: ReportFault,
): EventBus {
  const reported = logger && reportListener(logger);
  const events = new EventBus(clock, (name, error) => {
    count({ collaborator: 'listener', detail: `A listener of the event '${name}' failed.`, error });
    reported?.(name, error);
  });
  if (logger !== undefined) logEvents(events, logger, debug ? fullDetail(logger) : 'notable');
  return events;
}

function codecOf({ types = [] }: LaneCacheOptions, report: ReportFault): ValueCodec {
  return new ValueCodec(types, (type, error) =>
    report({ collaborator: 'migrate', detail: `migrate of the type '${type}' gave no instance.`, error }),
  );
}

/** Writes the first warning of each subject. */
function warningsOnce(logger: LogTarget | undefined): AppContext['warnOnce'] {
  const warned = new Set<string>();
  return (subject, message) => {
    if (warned.has(subject)) return;
    warned.add(subject);
    logger?.warn(typeof message === 'string' ? message : message());
  };
}

/** A number that looks as if it was meant in seconds. */
function warnOfMilliseconds(
  options: LaneCacheOptions,
  lanes: ReadonlyMap<string, ResolvedLane>,
  warnOnce: AppContext['warnOnce'],
): void {
  for (const [lane, ttl] of lanesInMilliseconds(options.lanes ?? {}, lanes)) {
    warnOnce(`lane:${lane}`, millisecondsText(`The ttl of lane '${lane}' is ${ttl}.`, ttl));
  }
}

/** The app's logger, whose own failures are counted. The first one is shown as a warning of the process. */
function loggerOf({ logger }: LaneCacheOptions, count: ReportFault): LogTarget | undefined {
  if (logger === undefined || logger === false) return undefined;
  let isShown = false;
  return guardedTarget(logger, (error) => {
    count({ collaborator: 'logger', detail: 'The logger failed.', error });
    if (isShown) return;
    isShown = true;
    const text = `The logger given to LaneCacheModule failed. Its further failures are only counted. ${causeText(error)}`;
    process.emitWarning(text, { type: 'LaneCacheWarning', code: 'LANE_CACHE_LOGGER' });
  });
}

function withGuardedStrategies(
  lanes: ReadonlyMap<string, ResolvedLane>,
  report: ReportFault,
): ReadonlyMap<string, ResolvedLane> {
  return new Map(
    [...lanes].map(([lane, { policy, strategy }]) => [
      lane,
      { policy, strategy: strategy && new GuardedStrategy(strategy, lane, report), eviction: undefined },
    ]),
  );
}

/** Without user and password, which no log may show. */
export function addressOf(url: string | undefined): string {
  if (url === undefined) return 'the given client';
  try {
    const { protocol, host } = new URL(url);
    return `${protocol}//${host}`;
  } catch {
    return 'the given url';
  }
}

/** What the processes of a directory must have in common to share L3, as a person reads it. */
export function serverText({ distributed }: LaneCacheOptions): string {
  if (distributed === undefined) return 'no server';
  const { url, prefix = DEFAULT_PREFIX } = distributed;
  return `${addressOf(url)} and the prefix '${prefix}'`;
}

/** Absolute; false = memory only. */
export function rootDirectory({ directory }: LaneCacheOptions): string | false {
  const named = directory ?? process.env['LANE_CACHE_DIR'] ?? DEFAULT_DIRECTORY;
  return named === false ? false : resolve(named);
}

/** Absolute; false = none are kept. */
export function checkpointsDirectory(options: LaneCacheOptions): string | false {
  const { checkpoints } = options;
  const root = rootDirectory(options);
  if (root === false || checkpoints === false) return false;
  return resolve(checkpoints?.directory ?? join(root, 'checkpoints'));
}

/** What the app leaves in its directory for the command line. */
export function appRecordOf(context: AppContext, metrics: MetricsReport): AppRecord {
  const { options, lanes, defaultLane, clock } = context;
  const [root, checkpoints] = [rootDirectory(options), checkpointsDirectory(options)];
  return appRecord({
    savedAt: new Date(clock.now()).toISOString(),
    pid: process.pid,
    defaultLane,
    version: options.version ?? '',
    policies: [...lanes.values()].map(({ policy }) => policy),
    checkpoints: root !== false && checkpoints !== false && recordedCheckpoints(root, checkpoints),
    retention: options.checkpoints === false ? { maxAgeDays: false } : (options.checkpoints?.retention ?? {}),
    metrics,
  });
}

/** Opens the directory that the settings name, or none. */
export async function openDiskFor(context: AppContext): Promise<Disk> {
  const { options, lanes, clock, life, events, recorder, historyOf, steps } = context;
  const { storage } = options;
  const root = rootDirectory(options);
  if (root === false) return noDisk(context.makeCheckpoints?.(context));
  return SharedDirectory.open({
    root,
    lanes,
    clock,
    life,
    events,
    recorder,
    steps,
    evicted: (lane, key, tier, reason) => historyOf(lane).evicted(key, tier, reason),
    checkpoints: checkpointsDirectory(options),
    version: options.version ?? '',
    server: context.purpose === 'look' ? undefined : serverText(options),
    serves: context.purpose === 'look' ? 'nobody' : 'others',
    labelsOf: (record) => labelsOfRecord(context.codec, record),
    minFreeBytes: storage?.minFreeBytes === undefined ? undefined : parseSize(storage.minFreeBytes),
    deadlineMs:
      storage?.deadline === undefined
        ? DEFAULT_DEADLINE_MS
        : toMilliseconds(storage.deadline, { field: 'storage.deadline' }),
  });
}

const SLOW_AFTER_MS = 1_000;
const STILL_EVERY_MS = 5_000;

/** What the start of an app waits for now. */
export class StartSteps {
  private readonly open = new Set<string>();

  /** Settles as `step` does. Until then the start waits for `what`. */
  async during<T>(what: string, step: Promise<T>): Promise<T> {
    this.open.add(what);
    try {
      return await step;
    } finally {
      this.open.delete(what);
    }
  }

  /** Such as ` and waits for l3, the checkpoints`, or nothing. */
  get text(): string {
    return this.open.size === 0 ? '' : ` and waits for ${[...this.open].join(', ')}`;
  }
}

/** A start, as `whileStarting` needs it. */
interface Start {
  readonly clock: Clock;
  readonly note: (text: string) => void;
  readonly purpose: 'serve' | 'look';
  readonly steps: StartSteps;
}

/** Awaits a step of the start. If it takes more than a second, the log says what the start waits for, again every 5 s. */
export async function whileStarting<T>(
  { clock, note, purpose, steps }: Start,
  what: string,
  step: Promise<T>,
): Promise<T> {
  if (purpose === 'look') return step;
  const startedAt = clock.monotonic();
  const report = (): void => {
    note(`Still starting, after ${Math.round((clock.monotonic() - startedAt) / 1_000)} s: ${what}${steps.text}.`);
    cancel = clock.schedule(STILL_EVERY_MS, report);
  };
  let cancel = clock.schedule(SLOW_AFTER_MS, report);
  try {
    return await step;
  } finally {
    cancel();
  }
}
