import { onRejection } from '../clock/promises.js';
import type { ListenerReport } from './event-bus.js';
import type { LaneCacheEventName, LaneCacheEvents } from './event-map.js';
import {
  causeText,
  checkpointText,
  workflowText,
  cleanupText,
  warmText,
  hostText,
  ownerText,
  plainText,
  quarantineText,
  refusalText,
  sweepText,
  tierText,
} from './event-texts.js';

/** What the log is written to; Nest's LoggerService is one. */
export interface LogTarget {
  log(message: string): unknown;
  warn(message: string): unknown;
  error(message: string): unknown;
  debug?(message: string): unknown;
  isLevelEnabled?(level: 'debug'): boolean;
}

/**
 * A target that neither throws nor rejects: `failed` gets what the methods of `target` do so with, and that they are
 * missing. What is written while it writes is left out, because a logger may call the cache.
 */
export function guardedTarget(target: LogTarget, failed: (error: unknown) => void): LogTarget {
  let isWriting = false;
  const guarded = <T>(write: () => T): T | undefined => {
    if (isWriting) return undefined;
    isWriting = true;
    try {
      const answer = write();
      onRejection(answer, failed);
      return answer;
    } catch (error) {
      failed(error);
      return undefined;
    } finally {
      isWriting = false;
    }
  };
  return {
    log: (message) => guarded(() => target.log(message)),
    warn: (message) => guarded(() => target.warn(message)),
    error: (message) => guarded(() => target.error(message)),
    debug: (message) => guarded(() => target.debug?.(message)),
    isLevelEnabled: (level) =>
      guarded(() => target.debug !== undefined && target.isLevelEnabled?.(level) !== false) === true,
  };
}

/** notable: what a person should see. everything: each event of each key too, at debug; this has a price on the hot path. */
export type LogDetail = 'notable' | 'everything';

/** Events of single keys. Listening to them costs, so it is done only on demand. */
const PER_KEY = ['hit', 'miss', 'bypass', 'store', 'compute', 'stale', 'evict', 'invalidate'] as const;

/** Refusals that mean a key is never cached. They are logged once. */
const LASTING_REFUSALS: readonly string[] = ['unstorable', 'too-large'];

/**
 * Writes to `target` what happens: changes of state, damage and lasting refusals as warnings, housekeeping that did
 * something as log lines, the rest at debug. Returns the function that stops it.
 */
export function logEvents(events: LaneCacheEvents, target: LogTarget, detail: LogDetail = 'notable'): () => void {
  const debug = (text: string): unknown => target.debug?.(text);
  const stops = [
    ...logStates(events, target, debug),
    ...logHousekeeping(events, target, debug),
    logRefusals(events, target, detail),
    ...(detail === 'everything' ? PER_KEY.map((name) => logPlainly(events, name, debug)) : []),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

/** All events, unless the logger says that it drops them. A logger that cannot say so, as Nest's own, gets them. */
export function fullDetail(target: LogTarget): LogDetail {
  return target.isLevelEnabled?.('debug') === false ? 'notable' : 'everything';
}

/** Says once that a listener failed; for `EventBus`. */
export function reportListener(target: LogTarget): ListenerReport {
  return (name, error) => {
    target.error(
      `A listener of the event '${name}' failed and was dropped; events go on without it. ${causeText(error)}`,
    );
  };
}

type Write = (text: string) => unknown;

function logStates(events: LaneCacheEvents, target: LogTarget, debug: Write): (() => void)[] {
  return [
    logTiers(events, target, debug),
    events.on('owner', (event) => {
      if (event.state === 'owned') debug(ownerText(event));
      else if (event.state === 'refused') target.warn(ownerText(event));
      else target.log(ownerText(event));
    }),
    events.on('host', (event) => {
      if (event.state === 'on') debug(hostText(event));
      else target.warn(hostText(event));
    }),
    events.on('quarantine', (event) => target.warn(quarantineText(event))),
    events.on('checkpoint', (event) => {
      if (event.action === 'damaged') target.warn(checkpointText(event));
      else debug(checkpointText(event));
    }),
    events.on('workflow', (event) => debug(workflowText(event))),
  ];
}

/** A tier that comes on is news only where the log has said that it was off. Another owner of L3 has its own line. */
function logTiers(events: LaneCacheEvents, target: LogTarget, debug: Write): () => void {
  const off = new Set<string>();
  return events.on('tier', (event) => {
    const isOrderly = event.reason === 'closed' || event.reason === 'policy';
    if (isOrderly) debug(tierText(event));
    else if (event.state === 'off' || event.error !== undefined) {
      if (event.state === 'off') off.add(event.tier);
      target.warn(tierText(event));
    } else if (off.delete(event.tier)) target.log(tierText(event));
    else debug(tierText(event));
  });
}

function logHousekeeping(events: LaneCacheEvents, target: LogTarget, debug: Write): (() => void)[] {
  return [
    events.on('sweep', (event) => {
      const done = event.expired + event.evicted + event.orphanedSessions + event.quarantinesRemoved;
      if (done > 0) target.log(sweepText(event));
      else debug(sweepText(event));
    }),
    events.on('cleanup', (event) => {
      if (event.removed > 0) target.log(cleanupText(event));
      else debug(cleanupText(event));
    }),
    events.on('warm', (event) => {
      if (event.state === 'started' || event.state === 'running') debug(warmText(event));
      else if (event.failed > 0) target.warn(warmText(event));
      else target.log(warmText(event));
    }),
  ];
}

/** One warning per lane and reason: the key named is the first, the others are in the counters. */
function logRefusals(events: LaneCacheEvents, target: LogTarget, detail: LogDetail): () => void {
  const logged = new Set<string>();
  return events.on('refuse', (event) => {
    const kind = `${event.lane} ${event.reason}`;
    if (LASTING_REFUSALS.includes(event.reason) && !logged.has(kind)) {
      logged.add(kind);
      target.warn(refusalText(event));
    } else if (detail === 'everything') {
      target.debug?.(plainText('refuse', event));
    }
  });
}

function logPlainly(events: LaneCacheEvents, name: LaneCacheEventName, debug: Write): () => void {
  return events.on(name, (event) => debug(plainText(name, event)));
}
