import type { ComputeContext } from '../../../lib/cache/call-options.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { leftovers, unevenNumbers } from '../../support/audit.js';
import { Jobs } from '../../support/jobs.js';
import { ModelCluster } from '../../support/model-cluster.js';
import { ModelNetwork } from '../../support/model-network.js';
import { ModelRedis, type Data } from '../../support/model-redis.js';
import {
  DECLARED,
  type InvalidationKind,
  invalidate,
  KEYS,
  laneOf,
  LATE,
  type ModelWorld,
  SOURCE_FAILED,
  tagsOf,
} from '../harness/model.js';
import type { Invalidation } from '../harness/oracle.js';
import { isSlow, type Moves, pass, settle } from '../harness/passing.js';
import type { Action, NodeFault, Pace, Place, Scene, ServerFault, Weather } from './actions.js';
import { MAX_STALENESS_MS, SharedDisk, SharedInstance } from './instance.js';
import { Oracle, type Life, type Call } from './oracle.js';

interface Site {
  readonly disk: SharedDisk | undefined;
  current: SharedInstance | undefined;
  network: ModelNetwork;
  weather: Weather;
  disks: Pace;
  /** When it was last connected, or began. */
  lastOnMs: number;
}

interface Running {
  readonly by: SharedInstance;
  end(outcome: 'ok' | 'failed'): void;
}

/** Everything of one run: instances, the server between them, what was asked of them, and the oracle who watches. */
export class World implements ModelWorld<Action> {
  violation: string | undefined;
  readonly tally = { l1: 0, l3: 0, l4: 0, computed: 0 };
  private readonly clock = new FakeClock();
  private readonly server = new ModelRedis(() => this.clock.now());
  private readonly oracle = new Oracle();
  private readonly jobs = new Jobs();
  private readonly places: readonly Site[];
  private readonly cluster: ModelCluster | undefined;
  private replica: Data = new Map();
  private running: Running[] = [];
  private readonly callers = new Map<SharedInstance, number>();
  private now = 0;

  constructor(private readonly scene: Scene) {
    if (scene.nodes === 3) this.cluster = new ModelCluster(this.server, () => this.clock.now(), '{p}:meta');
    this.places = Array.from({ length: scene.instances }, (_, at) => ({
      disk: scene.disks[at] === true ? new SharedDisk() : undefined,
      current: undefined,
      network: new ModelNetwork(this.server, this.clock),
      weather: 'fast',
      disks: 'fast',
      lastOnMs: 0,
    }));
    for (const instance of this.places.keys()) this.start(instance);
  }

  async take(action: Action): Promise<void> {
    this.perform(action);
    await settle(this.moves);
    if (action.do === 'time') await this.pass(action.ms);
    for (const { app } of this.alive) {
      const [wrong] = unevenNumbers(app);
      if (wrong !== undefined) this.violation ??= `P8 ${wrong}`;
    }
    if (this.server.faults.length > 0) this.violation ??= `LUA ${this.server.faults[0]}`;
  }

  /** Mends everything and lets it come to its end. Each instance must then know every invalidation. */
  async finish(): Promise<void> {
    this.server.isFull = false;
    for (const [instance, place] of this.places.entries()) {
      this.change(place, 'fast');
      place.disks = 'fast';
      this.start(instance);
    }
    for (let round = 0; round < 200 && !this.isCalm && this.violation === undefined; round++) {
      this.running[0]?.end('ok');
      await settle(this.moves);
      await this.pass(200);
    }
    if (!this.isCalm) this.violation ??= `LIVE ${this.unrest}`;
    await this.pass(1_500);
    await this.askAll();
    for (const { app } of this.alive) app.memory.clearAll();
    await this.askAll();
    for (const { app } of this.alive) this.lookForLeftovers(app);
  }

  leave(): void {
    for (const place of this.places) if (place.current !== undefined) this.kill(place);
  }

  private get alive(): readonly SharedInstance[] {
    return this.places.flatMap(({ current }) => (current === undefined ? [] : [current]));
  }

  private get isCalm(): boolean {
    return this.unrest === '';
  }

  private get unrest(): string {
    const isOff = this.alive.some(({ life }) => life.connectedAt === undefined);
    const isUnpublished = this.places.some(({ disk }) => (disk?.outbox.size ?? 0) > 0);
    const waiting = this.alive.some((instance) => (this.callers.get(instance) ?? 0) > 0);
    const parts = [isOff && 'disconnected', isUnpublished && 'unpublished', this.running.length > 0 && 'computing'];
    return [...parts, waiting && 'callers wait'].filter(Boolean).join(', ');
  }

  private tick(): number {
    return ++this.now;
  }

  private pass(ms: number): Promise<void> {
    return pass(this.clock, ms, this.moves);
  }

  private get moves(): Moves {
    return { sites: this.places, watch: () => this.watch(), workAside: () => this.commitSome() };
  }

  private commitSome(): boolean {
    let some = false;
    for (const { current, disks } of this.places) {
      if (current?.l3 === undefined || disks === 'slow') continue;
      for (; current.l3.queued > 0; some = true) current.l3.commit();
    }
    for (; this.jobs.size > 0; some = true) this.jobs.run(0);
    return some;
  }

  /** Which instances are cut off now, and what was invalidated. */
  private watch(): void {
    const nowMs = this.clock.monotonic();
    for (const { current, network, weather, disk } of this.places) {
      if (current === undefined) continue;
      const isBad = weather === 'hole' || weather === 'down';
      if (isBad || isSlow(network, nowMs)) current.life.spoiltMs = nowMs;
      if (disk !== undefined && disk.outbox.size > 0) continue;
      for (const invalidation of this.oracle.invalidations) {
        if (invalidation.by.instance === current.life.instance && invalidation.resolvedAt < Infinity)
          invalidation.published ??= { at: this.tick(), ms: nowMs };
      }
    }
  }

  private perform(action: Action): void {
    switch (action.do) {
      case 'work':
        return this.work(action);
      case 'finish':
        return this.running[action.n % Math.max(1, this.running.length)]?.end(action.outcome);
      case 'server':
        return this.fail(action.what, action.n);
      case 'time':
        return;
      case 'start':
        return this.start(action.instance);
      default:
        return this.performAt(action);
    }
  }

  private performAt(action: Exclude<Action, { do: 'work' | 'finish' | 'server' | 'time' | 'start' }>): void {
    const place = this.places['at' in action ? action.at.instance : action.instance];
    if (place?.current === undefined) return;
    switch (action.do) {
      case 'ask':
        return this.ask(place.current, action.at, action.key, action.force);
      case 'get':
        return this.get(place.current, action.at.lane, action.key);
      case 'set':
        return this.set(place.current, action.at.lane, action.key);
      case 'invalidate':
        return this.invalidate(place.current, action.at, action.kind, action.subject);
      case 'forget':
        return void place.current.app.memory.space(action.at.lane).delete(action.key);
      case 'weather':
        return this.change(place, action.weather);
      case 'disk':
        place.disks = action.pace;
        return;
      case 'kill':
        return this.kill(place);
    }
  }

  private work({ n, many }: { readonly n: number; readonly many: number }): void {
    for (let left = many; left > 0; left--) {
      const slow = this.places.flatMap(({ network, current, disks }) => {
        const l3 = current?.l3;
        const commits = l3 !== undefined && disks === 'slow' && l3.queued > 0 ? [() => l3.commit()] : [];
        return [...network.steps, ...commits];
      });
      slow[n % Math.max(1, slow.length)]?.();
    }
  }

  private change(place: Site, weather: Weather): void {
    if (weather === 'cut' || weather === 'down') {
      place.network.cut();
      if (place.current !== undefined) place.current.life.spoiltMs = this.clock.monotonic();
    }
    if (weather !== 'cut') place.weather = weather;
    place.network.isHole = place.weather === 'hole';
    place.network.isDown = place.weather === 'down';
  }

  private fail(what: ServerFault, n: number): void {
    const { server } = this;
    const { names } = server;
    switch (what) {
      case 'copy':
        this.replica = server.copy;
        return;
      case 'fail-over':
        return this.comeUp(this.replica);
      case 'empty':
        return this.comeUp(new Map());
      case 'restart':
        return this.comeUp(server.copy);
      case 'trim':
        return server.trim('{p}:stream', n % 3);
      case 'evict':
        return server.evict(names[n % Math.max(1, names.length)] ?? '');
      case 'full':
      case 'room':
        server.isFull = what === 'full';
        return;
      default:
        this.failNode(what, n);
    }
  }

  /** Entries are elsewhere, or fewer and older, and nothing that counts is lost by it. */
  private failNode(what: NodeFault, n: number): void {
    const { cluster } = this;
    if (cluster === undefined) return;
    if (what === 'move') cluster.move(n);
    else if (what === 'node-copy') cluster.copy(n);
    else {
      const failed = cluster.failOver(n);
      for (const { network } of this.places) network.cut(failed);
    }
  }

  private comeUp(data: Data): void {
    this.server.restart(data);
    for (const { network, current } of this.places) {
      network.cut();
      if (current !== undefined) current.life.spoiltMs = this.clock.monotonic();
    }
  }

  private start(instance: number): void {
    const place = this.places[instance];
    if (place === undefined || place.current !== undefined) return;
    const { clock, jobs, scene } = this;
    const { disk } = place;
    place.network = new ModelNetwork(this.server, clock, () => this.tick(), this.cluster);
    this.change(place, place.weather);
    place.lastOnMs = clock.monotonic();
    const life: Life = {
      ...{ instance, bornAt: this.tick(), isDurable: disk !== undefined },
      ...{ connectedAt: undefined, hasConnected: false, spoiltMs: clock.monotonic() },
    };
    const { onDisconnect, trustPersistence, coalesce } = scene;
    const settings = { clock, jobs, network: place.network, disk, onDisconnect, trustPersistence, coalesce };
    place.current = new SharedInstance(life, settings);
    place.current.app.events.on('tier', ({ tier, state }) => {
      if (tier !== 'l4') return;
      if (life.connectedAt !== undefined) place.lastOnMs = clock.monotonic();
      life.connectedAt = state === 'on' ? place.network.followedAsOf : undefined;
      life.hasConnected ||= state === 'on';
    });
  }

  private kill(place: Site): void {
    const { current } = place;
    if (current === undefined) return;
    for (const lane of current.app.lanes) {
      const { l1, l3, l4, computed } = current.app.manager(lane).getMetrics();
      this.tally.l1 += l1.hits;
      this.tally.l3 += l3.hits;
      this.tally.l4 += l4.hits;
      this.tally.computed += computed;
    }
    current.kill();
    place.current = undefined;
    this.running = this.running.filter(({ by }) => by !== current);
  }

  private get(by: SharedInstance, lane: string, key: string): void {
    this.answered(by, this.callOf(by, lane, key), by.app.manager(lane).get(key));
  }

  private ask(by: SharedInstance, { lane }: Place, key: string, forceFresh: boolean): void {
    const compute = (ctx: ComputeContext): Promise<unknown> => this.compute(by, lane, key, ctx);
    const options = { tags: DECLARED[key] ?? [], forceFresh };
    const call = this.callOf(by, lane, key);
    this.answered(by, call, by.app.manager(lane).getOrSet(key, compute, options));
  }

  private compute(by: SharedInstance, lane: string, key: string, ctx: ComputeContext): Promise<unknown> {
    const startedAt = this.tick();
    return new Promise((resolve, reject) => {
      const running: Running = {
        by,
        end: (outcome) => {
          this.running = this.running.filter((other) => other !== running);
          if (outcome === 'failed') return reject(SOURCE_FAILED);
          ctx.setTags(LATE[key] ?? []);
          resolve(this.oracle.make({ lane, key, startedAt, tags: tagsOf(key) }));
        },
      };
      this.running.push(running);
    });
  }

  private set(by: SharedInstance, lane: string, key: string): void {
    const startedAt = this.tick();
    const tags = DECLARED[key] ?? [];
    const value = this.oracle.make({ lane, key, startedAt, tags });
    const invalidation = this.oracle.call({ by: by.life, kind: 'set', lane, subject: key, calledAt: startedAt });
    this.ended(by, invalidation, by.app.manager(lane).set(key, value, { tags }));
  }

  private invalidate(by: SharedInstance, { lane: at }: Place, kind: InvalidationKind, subject: string): void {
    const manager = by.app.manager(at);
    const invalidation = this.oracle.call({
      by: by.life,
      kind,
      lane: laneOf(kind, at),
      subject,
      calledAt: this.tick(),
    });
    this.ended(by, invalidation, invalidate(manager, kind, subject));
  }

  /** An invalidation that could not be published in time is rejected, and holds on this instance all the same. */
  private ended(by: SharedInstance, invalidation: Invalidation<Life>, work: Promise<unknown>): void {
    this.wait(by, 1);
    const leave = (): void => {
      this.wait(by, -1);
      if (by.isAlive) invalidation.settledAt = this.tick();
    };
    work.then(
      () => {
        leave();
        if (by.isAlive) invalidation.resolvedAt = invalidation.settledAt;
      },
      (error: unknown) => {
        leave();
        const code = error instanceof Error && 'code' in error ? error.code : undefined;
        if (by.isAlive && code !== 'INVALIDATION_PENDING') this.violation ??= `P4 a call rejected: ${String(error)}`;
      },
    );
  }

  private callOf(by: SharedInstance, lane: string, key: string): Call {
    const { life } = by;
    const calledMs = this.clock.monotonic();
    const { connectedAt, hasConnected, spoiltMs } = life;
    const { lastOnMs = 0 } = this.places[life.instance] ?? {};
    const limitMs = this.scene.onDisconnect === 'serve' ? MAX_STALENESS_MS : 1_000;
    const isStale = connectedAt === undefined && calledMs - lastOnMs > limitMs;
    return { life, lane, key, calledAt: this.tick(), calledMs, connectedAt, hasConnected, spoiltMs, isStale };
  }

  private answered(by: SharedInstance, call: Call, answer: Promise<unknown>): void {
    this.wait(by, 1);
    const judge = (value: unknown): void => {
      this.wait(by, -1);
      if (by.isAlive && value !== undefined) this.violation ??= this.oracle.judge(call, value);
    };
    answer.then(judge, (error: unknown) => {
      this.wait(by, -1);
      if (by.isAlive && error !== SOURCE_FAILED) this.violation ??= `P4 a caller got ${String(error)}`;
    });
  }

  private wait(by: SharedInstance, more: number): void {
    this.callers.set(by, (this.callers.get(by) ?? 0) + more);
  }

  private async askAll(): Promise<void> {
    for (const by of this.alive) {
      for (const lane of by.app.lanes) for (const key of KEYS) this.get(by, lane, key);
    }
    await this.pass(1_500);
  }

  /** Heartbeats go on; nothing else does. */
  private lookForLeftovers(app: SharedInstance['app']): void {
    const [left] = leftovers(app).filter((what) => !what.endsWith('timers'));
    if (left !== undefined) this.violation ??= `LEFT ${left}`;
  }
}
