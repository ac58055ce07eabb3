import { channel, type Channel } from 'node:diagnostics_channel';
import type { Clock } from '../clock/clock.js';
import { onRejection } from '../clock/promises.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import { signal as abortSignal, defineOptions, shown } from '../options/options-shape.js';
import type { CacheEvents, LaneCacheEvent, LaneCacheEventMap, LaneCacheEventName, EventSink } from './event-map.js';
import { causeText } from './event-texts.js';
import type { Collaborator, FaultCounts, ReportFault } from './reasons.js';

/** Called for a listener that threw or rejected, and was removed. */
export type ListenerReport = (name: LaneCacheEventName, error: unknown) => void;

type Outlets = { readonly [N in LaneCacheEventName]: Outlet<N> };

const ONCE_OPTIONS = defineOptions<{ readonly signal?: AbortSignal }>('once', { signal: abortSignal });

/** Where events go: to the listeners of the app, and to `diagnostics_channel` as 'nestjs-lane-cache:<name>'. */
export class EventBus implements CacheEvents {
  private readonly outlets: Outlets;

  constructor(
    private readonly clock: Clock,
    report: ListenerReport,
  ) {
    this.outlets = openOutlets(report);
  }

  get wantsHits(): boolean {
    const { listeners, channel: subscribed } = this.outlets.hit;
    return listeners.length > 0 || subscribed.hasSubscribers;
  }

  wants(name: LaneCacheEventName): boolean {
    const { listeners, channel: subscribed } = this.outlets[name];
    return listeners.length > 0 || subscribed.hasSubscribers;
  }

  emit<N extends LaneCacheEventName>(name: N, event: LaneCacheEventMap[N]): void {
    const outlet: Outlet<N> = this.outlets[name];
    if (!outlet.isWanted) return;
    const stamped = { ...event, at: new Date(this.clock.now()).toISOString() };
    Object.freeze(stamped);
    outlet.publish(stamped);
  }

  /** Throws OPTIONS_INVALID if there is no event of that name, or the listener is no function. */
  on<N extends LaneCacheEventName>(name: N, listener: (event: LaneCacheEvent<N>) => void): () => void {
    const outlet = this.outlet(name);
    if (typeof listener === 'function') return outlet.add(listener);
    const problem = `The listener of the event '${name}' must be a function, not ${shown(listener)}.`;
    throw new LaneCacheError('OPTIONS_INVALID', problem);
  }

  /** The next event of that name. Rejects with the signal's reason when it aborts first. */
  once<N extends LaneCacheEventName>(name: N, options?: { readonly signal?: AbortSignal }): Promise<LaneCacheEvent<N>> {
    return new Promise((resolve, reject) => {
      const { signal } = ONCE_OPTIONS.read(options);
      signal?.throwIfAborted();
      const stop = this.outlet(name).add((event) => {
        stop();
        signal?.removeEventListener('abort', abort);
        resolve(event);
      });
      const abort = (): void => {
        stop();
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  private outlet<N extends LaneCacheEventName>(name: N): Outlet<N> {
    if (typeof name === 'string' && Object.hasOwn(this.outlets, name)) return this.outlets[name];
    const known = Object.keys(this.outlets).join(', ');
    throw new LaneCacheError('OPTIONS_INVALID', `There is no event ${shown(name)}. Events: ${known}.`);
  }
}

/** One event's listeners. The list is replaced, never changed, so that it can be walked while listeners come and go. */
class Outlet<N extends LaneCacheEventName> {
  listeners: readonly ((event: LaneCacheEvent<N>) => unknown)[] = [];
  readonly channel: Channel;

  constructor(
    private readonly name: N,
    private readonly report: ListenerReport,
  ) {
    this.channel = channel(`nestjs-lane-cache:${name}`);
  }

  get isWanted(): boolean {
    return this.listeners.length > 0 || this.channel.hasSubscribers;
  }

  add(listener: (event: LaneCacheEvent<N>) => unknown): () => void {
    const own = (event: LaneCacheEvent<N>): unknown => listener(event);
    this.listeners = [...this.listeners, own];
    return () => this.remove(own);
  }

  publish(event: LaneCacheEvent<N>): void {
    for (const listener of this.listeners) this.call(listener, event);
    if (this.channel.hasSubscribers) this.channel.publish(event);
  }

  private call(listener: (event: LaneCacheEvent<N>) => unknown, event: LaneCacheEvent<N>): void {
    const fail = (error: unknown): void => {
      if (this.remove(listener)) this.report(this.name, error);
    };
    try {
      // The rejection of an async listener would end the process.
      onRejection(listener(event), fail);
    } catch (error) {
      fail(error);
    }
  }

  private remove(listener: (event: LaneCacheEvent<N>) => unknown): boolean {
    const before = this.listeners.length;
    this.listeners = this.listeners.filter((other) => other !== listener);
    return this.listeners.length < before;
  }
}

function openOutlets(report: ListenerReport): Outlets {
  return {
    hit: new Outlet('hit', report),
    miss: new Outlet('miss', report),
    bypass: new Outlet('bypass', report),
    refuse: new Outlet('refuse', report),
    store: new Outlet('store', report),
    compute: new Outlet('compute', report),
    stale: new Outlet('stale', report),
    evict: new Outlet('evict', report),
    invalidate: new Outlet('invalidate', report),
    tier: new Outlet('tier', report),
    owner: new Outlet('owner', report),
    host: new Outlet('host', report),
    quarantine: new Outlet('quarantine', report),
    sweep: new Outlet('sweep', report),
    fault: new Outlet('fault', report),
    checkpoint: new Outlet('checkpoint', report),
    step: new Outlet('step', report),
    workflow: new Outlet('workflow', report),
    cleanup: new Outlet('cleanup', report),
    warm: new Outlet('warm', report),
  };
}

/** Counts and emits the faults of what the app handed in, and logs the first of each kind: each function that fails has a text of its own. */
export class Faults {
  private readonly counted: Record<Collaborator, number> = noFaults();

  constructor(
    private readonly events: EventSink,
    private readonly warnOnce: (subject: string, message: string) => void,
  ) {}

  get counts(): FaultCounts {
    return { ...this.counted };
  }

  readonly report: ReportFault = (fault) => {
    this.count(fault);
    const { collaborator, lane = '', detail, error } = fault;
    this.warnOnce(`fault:${collaborator}:${lane}:${detail}`, [detail, causeText(error)].filter(Boolean).join(' '));
  };

  /** The same, without a line in the log. */
  readonly count: ReportFault = (fault) => {
    this.counted[fault.collaborator]++;
    if (this.events.wants('fault')) this.events.emit('fault', fault);
  };
}

/** No faults yet, for each kind of what the app hands in. */
export const noFaults = (): Record<Collaborator, number> => ({
  logger: 0,
  listener: 0,
  strategy: 0,
  schema: 0,
  migrate: 0,
  decorator: 0,
});
