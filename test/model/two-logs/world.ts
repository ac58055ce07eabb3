import { nextTurn } from '../../../lib/clock/clock.js';
import type { ComputeContext } from '../../../lib/cache/call-options.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { unevenNumbers } from '../../support/audit.js';
import { ModelLogDisk } from '../../support/model-log-disk.js';
import { ModelNetwork } from '../../support/model-network.js';
import { ModelRedis } from '../../support/model-redis.js';
import { DECLARED, invalidate, KEYS, laneOf, LATE, type ModelWorld, SOURCE_FAILED, tagsOf } from '../harness/model.js';
import type { Invalidation } from '../harness/oracle.js';
import { isSlow, type Moves, pass, settle } from '../harness/passing.js';
import { HostDisk, HostProcess, Wire } from '../host-log/process.js';
import { backendOf } from '../shared-log/instance.js';
import type { Action, Scene, Weather } from './actions.js';
import { type Call, type Life, Oracle } from './oracle.js';

/** The directory of one host, which its processes share. */
interface Directory {
  readonly files: ModelLogDisk;
  readonly l3: HostDisk;
  wires: Wire[];
}

/** Where one process after the other runs. */
interface Site {
  readonly host: number;
  readonly directory: Directory;
  current: { readonly process: HostProcess; readonly life: Life } | undefined;
  network: ModelNetwork;
  weather: Weather;
}

interface Running {
  readonly by: HostProcess;
  end(): void;
}

type Manager = ReturnType<HostProcess['app']['manager']>;
type Living = NonNullable<Site['current']>;

const LANE = 'standard';
const ROUND_MS = 50;
const SETTINGS = { onDisconnect: 'serve', trustPersistence: false, coalesce: 'process' } as const;

/** Everything of one run: hosts with their processes, the server between them, and the oracle who watches. */
export class World implements ModelWorld<Action> {
  violation: string | undefined;
  readonly tally = { l1: 0, l3: 0, l4: 0, computed: 0 };
  private readonly clock = new FakeClock();
  private readonly server = new ModelRedis(() => this.clock.now());
  private readonly oracle = new Oracle();
  private readonly sites: readonly Site[];
  private running: Running[] = [];
  private readonly pending = new Map<HostProcess, number>();
  private now = 0;

  constructor(scene: Scene) {
    const directories = new Map<number, Directory>();
    for (const host of scene.hosts) directories.set(host, { files: new ModelLogDisk(), l3: new HostDisk(), wires: [] });
    this.sites = scene.hosts.flatMap((host): Site[] => {
      const directory = directories.get(host);
      const network = new ModelNetwork(this.server, this.clock);
      return directory === undefined ? [] : [{ host, directory, current: undefined, network, weather: 'fast' }];
    });
  }

  async take(action: Action): Promise<void> {
    if (this.now === 0) await this.begin();
    await this.perform(action);
    await settle(this.moves);
    for (const { process } of this.alive) {
      const [wrong] = unevenNumbers(process.app);
      if (wrong !== undefined) this.violation ??= `P8 ${wrong}`;
    }
  }

  /** Everything is mended and comes to its end. Then everybody is asked for everything, from memory and from below it. */
  async finish(): Promise<void> {
    if (this.now === 0) await this.begin();
    for (const site of this.sites) this.change(site, 'fast');
    for (let round = 0; round < 200 && this.violation === undefined; round++) {
      for (const site of this.sites) await this.start(site);
      for (const site of this.sites) this.claim(site);
      this.running[0]?.end();
      await this.workAll();
      await this.pass(200);
      if (this.unrest === '' && round > 10) break;
    }
    if (this.unrest !== '') this.violation ??= `LIVE ${this.unrest}`;
    if (this.violation !== undefined) return;
    await this.pass(1_500);
    await this.askAll();
    for (const { process } of this.alive) process.app.memory.clearAll();
    await this.askAll();
  }

  leave(): void {
    for (const site of this.sites) this.kill(site);
  }

  private get alive(): readonly Living[] {
    return this.sites.flatMap(({ current }) => (current === undefined ? [] : [current]));
  }

  /** What has not come to its end. Entries that are barred from the server count: they must be read again. */
  private get unrest(): string {
    const isOff = this.alive.some(({ life }) => life.connectedAt === undefined);
    const isBarred = this.alive.some(({ process }) => unheardOf(process) > 0);
    const waiting = this.alive.some(({ process }) => (this.pending.get(process) ?? 0) > 0);
    const kept = this.sites.some(({ directory }) => directory.l3.outbox.size > 0);
    const parts = [isOff && 'disconnected', isBarred && 'barred', kept && 'unpublished', waiting && 'callers wait'];
    return parts.filter(Boolean).join(', ');
  }

  private tick(): number {
    return ++this.now;
  }

  private async begin(): Promise<void> {
    this.now = 1;
    for (const site of this.sites) {
      await this.start(site);
      this.claim(site);
    }
    await this.pass(100);
  }

  private async perform(action: Action): Promise<void> {
    switch (action.do) {
      case 'finish':
        return this.running[action.n % Math.max(1, this.running.length)]?.end();
      case 'time':
        return this.pass(action.ms);
      case 'server':
        return this.fail(action.what);
      default: {
        const site = this.sites[action.process];
        if (site !== undefined) await this.performAt(site, action);
      }
    }
  }

  private async performAt(site: Site, action: Exclude<Action, { do: 'finish' | 'time' | 'server' }>): Promise<void> {
    if (action.do === 'start') return this.start(site);
    if (action.do === 'claim') return this.claim(site);
    if (action.do === 'weather') return this.change(site, action.weather);
    if (action.do === 'kill') return this.kill(site);
    const { current } = site;
    if (current === undefined) return;
    switch (action.do) {
      case 'ask':
        return this.ask(site, current, action.key);
      case 'get':
        return this.answered(site, current, action.key, (manager) => manager.get(action.key));
      case 'set':
        return this.set(current, action.key);
      case 'invalidate':
        return this.invalidate(current, action);
      case 'forget':
        return void current.process.app.memory.space(LANE).delete(action.key);
      case 'work':
        for (let left = action.many; left > 0 && this.work(site, action.n); left--) await nextTurn();
    }
  }

  /** One thing that is under way for this process: on its disk, from another process of its host, or from the server. */
  private work({ current, directory, network, weather }: Site, n: number): boolean {
    const process = current?.process;
    if (process === undefined) return false;
    const steps: (() => void)[] = [];
    if (process.jobs.size > 0) steps.push(() => process.jobs.run(0));
    if (process.l3.queued > 0) steps.push(() => process.l3.commit());
    for (const wire of directory.wires) {
      if (wire.to === process && wire.up.length > 0) steps.push(() => wire.deliverUp());
      if (wire.from === process && wire.down.length > 0) steps.push(() => wire.deliverDown());
    }
    if (weather === 'slow') steps.push(...network.steps);
    steps[n % Math.max(1, steps.length)]?.();
    return steps.length > 0;
  }

  private async workAll(): Promise<void> {
    for (const site of this.sites) for (let left = 300; left > 0 && this.work(site, 0); left--) await nextTurn();
  }

  private pass(ms: number): Promise<void> {
    return pass(this.clock, ms, this.moves);
  }

  /** Messages of processes that are well connected arrive. All else is a step of the trace. */
  private get moves(): Moves {
    return { sites: this.sites, watch: () => this.watch(), workAside: () => false };
  }

  /** Who hears badly now, and what has been published. */
  private watch(): void {
    const nowMs = this.clock.monotonic();
    for (const { current, network, weather } of this.sites) {
      if (current === undefined) continue;
      const isBad = weather === 'deaf' || weather === 'down' || isSlow(network, nowMs);
      if (isBad) current.life.spoiltMs = nowMs;
    }
    for (const invalidation of this.oracle.invalidations) {
      const { by, resolvedAt } = invalidation;
      const isKept = this.sites.some(({ host, directory, current }) => {
        const isBusy = current !== undefined && (current.process.backend?.log.outgoing.all.length ?? 0) > 0;
        return host === by.host && (isBusy || directory.l3.outbox.size > 0);
      });
      if (resolvedAt < Infinity && !isKept) invalidation.published ??= { at: this.tick(), ms: nowMs };
    }
  }

  private change(site: Site, weather: Weather): void {
    if (weather === 'cut' || weather === 'down') site.network.cut();
    if (weather !== 'cut') site.weather = weather;
    site.network.isReaderHeld = site.network.isCommandHeld = site.weather === 'deaf';
    site.network.isDown = site.weather === 'down';
    if (site.current !== undefined) site.current.life.spoiltMs = this.clock.monotonic();
  }

  private fail(what: 'trim' | 'restart' | 'empty'): void {
    const { server } = this;
    if (what === 'trim') return server.trim('{p}:stream', 0);
    server.restart(what === 'empty' ? new Map() : server.copy);
    for (const { network, current } of this.sites) {
      network.cut();
      if (current !== undefined) current.life.spoiltMs = this.clock.monotonic();
    }
  }

  private async start(site: Site): Promise<void> {
    if (site.current !== undefined) return;
    const { clock } = this;
    const { directory } = site;
    const { files, l3 } = directory;
    site.network = new ModelNetwork(this.server, clock, () => this.tick());
    const { network } = site;
    const life: Life = { host: site.host, connectedAt: undefined, spoiltMs: clock.monotonic() };
    const connect = (from: HostProcess): Wire | undefined => {
      const owner = this.ownerOf(directory);
      if (owner === undefined || owner === from) return undefined;
      const wire = new Wire(from, owner);
      directory.wires.push(wire);
      return wire;
    };
    const share: Parameters<typeof HostProcess.start>[0]['share'] = (app, own) => {
      app.events.on('tier', ({ tier, state }) => {
        if (tier === 'l4') life.connectedAt = state === 'on' ? network.followedAsOf : undefined;
      });
      return backendOf(app, { ...SETTINGS, network }, own);
    };
    const process = await HostProcess.start({ clock, files, l3, connect, share });
    site.current = { process, life };
    this.change(site, site.weather);
  }

  private ownerOf(directory: Directory): HostProcess | undefined {
    const living = this.sites.filter((site) => site.directory === directory).map(({ current }) => current?.process);
    return living.find((process) => process?.isOwner);
  }

  private claim({ current, directory }: Site): void {
    if (this.ownerOf(directory) === undefined) current?.process.claim();
  }

  private kill(site: Site): void {
    const { current, directory, network } = site;
    if (current === undefined) return;
    const { process } = current;
    const { l1, l3, l4, computed } = process.app.manager(LANE).getMetrics();
    this.tally.l1 += l1.hits;
    this.tally.l3 += process.isOwner ? 0 : l3.hits;
    this.tally.l4 += l4.hits;
    this.tally.computed += computed;
    site.current = undefined;
    network.cut();
    network.isDown = true;
    process.kill('at-once');
    const ended = directory.wires.filter(({ from, to }) => from === process || to === process);
    directory.wires = directory.wires.filter((wire) => !ended.includes(wire));
    for (const wire of ended)
      if (wire.from === process) wire.close();
      else wire.cut();
    this.running = this.running.filter(({ by }) => by !== process);
  }

  private ask(site: Site, current: Living, key: string): void {
    const compute = (ctx: ComputeContext): Promise<unknown> => this.compute(current.process, key, ctx);
    this.answered(site, current, key, (manager) => manager.getOrSet(key, compute, { tags: DECLARED[key] ?? [] }));
  }

  private compute(by: HostProcess, key: string, ctx: ComputeContext): Promise<unknown> {
    const startedAt = this.tick();
    return new Promise((resolve) => {
      const running: Running = {
        by,
        end: () => {
          this.running = this.running.filter((other) => other !== running);
          ctx.setTags(LATE[key] ?? []);
          resolve(this.oracle.make({ lane: LANE, key, startedAt, tags: tagsOf(key) }));
        },
      };
      this.running.push(running);
    });
  }

  private set({ process, life }: Living, key: string): void {
    const calledAt = this.tick();
    const tags = DECLARED[key] ?? [];
    const value = this.oracle.make({ lane: LANE, key, startedAt: calledAt, tags });
    const invalidation = this.oracle.call({ by: life, kind: 'set', lane: LANE, subject: key, calledAt });
    this.ended(process, invalidation, process.app.manager(LANE).set(key, value, { tags }));
  }

  private invalidate({ process, life }: Living, { kind, subject }: Extract<Action, { do: 'invalidate' }>): void {
    const lane = laneOf(kind, LANE);
    const invalidation = this.oracle.call({ by: life, kind, lane, subject, calledAt: this.tick() });
    this.ended(process, invalidation, invalidate(process.app.manager(LANE), kind, subject));
  }

  /** What could not be published in time is rejected, and holds in its process all the same. */
  private ended(by: HostProcess, invalidation: Invalidation<Life>, work: Promise<unknown>): void {
    this.wait(by, 1);
    work.then(
      () => {
        this.wait(by, -1);
        if (by.isAlive) invalidation.resolvedAt = invalidation.settledAt = this.tick();
      },
      (error: unknown) => {
        this.wait(by, -1);
        if (by.isAlive) invalidation.settledAt = this.tick();
        const code = error instanceof Error && 'code' in error ? error.code : undefined;
        if (by.isAlive && code !== 'INVALIDATION_PENDING') this.violation ??= `P4 a call rejected: ${String(error)}`;
      },
    );
  }

  private answered(
    site: Site,
    { process, life }: Living,
    key: string,
    ask: (manager: Manager) => Promise<unknown>,
  ): void {
    const { connectedAt, spoiltMs } = life;
    const calledMs = this.clock.monotonic();
    const call: Call = { life, key, calledAt: this.tick(), calledMs, connectedAt, spoiltMs };
    this.wait(process, 1);
    ask(process.app.manager(LANE)).then(
      (value) => {
        this.wait(process, -1);
        if (process.isAlive && value !== undefined) this.violation ??= this.oracle.judge(call, value);
      },
      (error: unknown) => {
        this.wait(process, -1);
        if (process.isAlive && error !== SOURCE_FAILED)
          this.violation ??= `P4 a caller on host ${site.host} got ${String(error)}`;
      },
    );
  }

  private wait(by: HostProcess, more: number): void {
    this.pending.set(by, (this.pending.get(by) ?? 0) + more);
  }

  private async askAll(): Promise<void> {
    for (const site of this.sites) {
      const { current } = site;
      if (current === undefined) continue;
      for (const key of KEYS) this.answered(site, current, key, (manager) => manager.get(key));
    }
    for (let round = 0; round < 20; round++) {
      // Before the time of what was asked is over.
      for (let turn = 0; turn < 5; turn++) {
        await nextTurn();
        await this.workAll();
      }
      await this.pass(ROUND_MS);
    }
  }
}

/** How many records keep entries of the server from being read. */
const unheardOf = ({ backend }: HostProcess): number => backend?.log.outgoing.unheard.length ?? 0;
