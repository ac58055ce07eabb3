import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { nextTurn } from '../../../lib/clock/clock.js';
import type { ComputeContext, ComputeManyContext, EntryOptions } from '../../../lib/cache/call-options.js';
import { leftovers, unevenNumbers } from '../../support/audit.js';
import { Jobs } from '../../support/jobs.js';
import { ModelDisk } from '../../support/model-tier.js';
import { DECLARED, invalidate, KEYS, laneOf, LATE, type ModelWorld, SOURCE_FAILED, tagsOf } from '../harness/model.js';
import type { Action, How, Place, Scene } from './actions.js';
import { ModelProcess, type Machine } from './process.js';
import { Oracle, type Made } from './oracle.js';

/** A computation that is under way until the model ends it. */
interface Running {
  readonly by: ModelProcess;
  readonly lane: string;
  readonly key: string;
  readonly startedAt: number;
  /** Its flight was not opened before. */
  readonly openedAt: number;
  readonly isForced: boolean;
  readonly isShared: boolean;
  readonly isAborted: () => boolean;
  /** It has run for as long as the caller that opened it allows. */
  readonly isOverdue: () => boolean;
  end(outcome: 'ok' | 'failed'): void;
}

interface Waiting {
  readonly by: ModelProcess;
  readonly place: string;
  readonly calledAt: number;
  leave(): void;
}

const TTL_S = { short: 10, long: 3_600 };

/** Everything of one run: processes, what they share, what was asked of them, and the oracle who watches. */
export class World implements ModelWorld<Action> {
  violation: string | undefined;
  readonly tally = { hits: 0, computed: 0, stale: 0 };
  private readonly oracle: Oracle;
  private readonly scene: Scene;
  private readonly machine: Machine = { clock: new FakeClock(), jobs: new Jobs(), disk: new ModelDisk() };
  private readonly processes: (ModelProcess | undefined)[];
  private running: Running[] = [];
  private waiting = new Set<Waiting>();
  private now = 0;
  private stillAt = 0;
  private unseenMs = 0;
  private ownerlessSince = 0;

  constructor(scene: Scene) {
    this.oracle = new Oracle(scene.only === 'forced');
    this.scene = scene;
    this.processes = [this.launch('owner'), undefined];
  }

  async take(action: Action): Promise<void> {
    this.perform(action);
    if (action.do === 'time') await this.pass(action.ms);
    if (action.hurried === undefined) {
      await nextTurn();
      this.stillAt = this.now;
    } else for (let microtasks = action.hurried; microtasks > 0; microtasks--) await Promise.resolve();
    for (const process of this.alive) {
      const [wrong] = unevenNumbers(process.app);
      if (wrong !== undefined) this.violation ??= `P8 ${wrong}`;
    }
  }

  /** Lets everything that is under way come to its end, looks whether something is left, and asks every tier for all. */
  async finish(): Promise<void> {
    await nextTurn();
    await this.drain();
    for (const process of this.alive) for (const tier of [process.l2, process.l3]) tier.reads = 'at-once';
    await this.askAll();
    for (const process of this.alive) process.app.memory.clearAll();
    await this.askAll();
    for (const process of this.alive) {
      process.app.memory.clearAll();
      process.l2.disk.entries.clear();
    }
    await this.askAll();
    // What the timers of dead processes wait for.
    await this.pass(90_000);
    this.lookForLeftovers();
    for (const process of this.alive) this.kill(process);
    this.start(0);
    const [restarted] = this.alive;
    if (restarted !== undefined) restarted.l2.reads = restarted.l3.reads = 'at-once';
    await this.askAll();
  }

  /** Nothing of it is left to the worlds after it. */
  leave(): void {
    for (const process of this.alive) this.kill(process);
  }

  private async drain(): Promise<void> {
    for (const process of this.alive) {
      process.l3.isStuck = false;
      for (const tier of [process.l2, process.l3]) tier.fail('mended');
    }
    for (let round = 0; round < 100 && this.violation === undefined && this.isBusy; round++) {
      for (let left = this.machine.jobs.size; left > 0; left--) this.machine.jobs.run(0);
      this.running[0]?.end('ok');
      for (const { l2, l3 } of this.alive) for (const tier of [l2, l3]) while (tier.queued > 0) tier.commit();
      await nextTurn();
    }
    // Until a tier that failed is asked again. Where lives are short, nothing would be left to ask for.
    if (!this.scene.freshness) await this.pass(70_000);
  }

  private async askAll(): Promise<void> {
    for (const process of this.alive) {
      for (const lane of ['standard', 'docs']) {
        for (const key of KEYS) {
          if (this.violation !== undefined) return;
          this.caller(process, lane, key)(process.app.manager(lane).get(key));
          const failing = this.caller(process, lane, key);
          failing(process.app.manager(lane).getOrSet(key, () => Promise.reject(SOURCE_FAILED), { grace: '8s' }));
        }
      }
    }
    await nextTurn();
  }

  private lookForLeftovers(): void {
    if (this.violation !== undefined) return;
    for (const process of this.alive) {
      const [left] = leftovers(process.app);
      if (left !== undefined) this.violation ??= `LEFT ${left}`;
      this.count(process);
    }
    if (this.waiting.size > 0) this.violation ??= `LEFT ${this.waiting.size} callers`;
  }

  private count(process: ModelProcess): void {
    for (const lane of process.app.lanes) {
      const { l1, l2, l3, computed, staleServed } = process.app.manager(lane).getMetrics();
      this.tally.hits += l1.hits + l2.hits + l3.hits;
      this.tally.computed += computed;
      this.tally.stale += staleServed;
    }
  }

  private get alive(): ModelProcess[] {
    return this.processes.filter((process) => process?.isAlive === true) as ModelProcess[];
  }

  private get isBusy(): boolean {
    const queued = this.alive.some(({ l2, l3 }) => l2.queued + l3.queued > 0);
    // A computation that a caller waits for may begin a turn later.
    return queued || this.machine.jobs.size > 0 || this.running.length > 0 || this.waiting.size > 0;
  }

  private get ttlS(): number {
    return this.scene.freshness ? TTL_S.short : TTL_S.long;
  }

  private async pass(ms: number): Promise<void> {
    await this.machine.clock.advance(`${ms}ms`);
    this.stillAt = this.now;
  }

  /** While no process owned what survives, only the wall clock measured time, where it is above the latest time that was seen. */
  private inherit(): void {
    const { clock, disk } = this.machine;
    const passedMs = clock.monotonic() - this.ownerlessSince;
    const toldMs = Math.max(0, clock.now() - disk.latestTime);
    this.unseenMs += Math.max(0, passedMs - toldMs);
  }

  /** By which the life of what survives can be judged: what no process and no clock can tell has not passed. */
  private get time(): number {
    return this.machine.clock.monotonic() - this.unseenMs;
  }

  private tick(): number {
    return ++this.now;
  }

  private perform(action: Action): void {
    const { clock, jobs } = this.machine;
    switch (action.do) {
      case 'work':
        for (let left = action.many; left > 0; left--) jobs.run(action.n);
        return;
      case 'finish':
        return this.running[action.n % Math.max(1, this.running.length)]?.end(action.outcome);
      case 'leave':
        return this.leaveOne([...this.waiting][action.n % Math.max(1, this.waiting.size)]);
      case 'wall':
        return clock.step(action.ms);
      case 'time':
        return;
      case 'start':
        return this.start(action.process);
      default:
        return this.performIn(this.processes['at' in action ? action.at.process : action.process], action);
    }
  }

  private performIn(process: ModelProcess | undefined, action: Action): void {
    if (process?.isAlive !== true) return;
    switch (action.do) {
      case 'get':
        return this.get(process, action);
      case 'ask':
        return action.many ? this.askMany(process, action) : this.ask(process, action);
      case 'put':
        return this.put(process, action);
      case 'set':
        return this.set(process, action);
      case 'invalidate':
        return this.invalidate(process, action);
      case 'evict':
        return void process.app.memory.space(action.at.lane).delete(action.key);
      case 'commit':
        for (let left = action.many; left > 0; left--) process[action.tier].commit();
        return;
      case 'break':
        return process[action.tier].fail(action.how);
      case 'stick':
        process.l3.isStuck = action.how;
        return;
      case 'reads':
        process.l2.reads = process.l3.reads = action.how;
        return;
      case 'kill':
        return this.kill(process);
      case 'take-over':
        if (this.owner !== undefined) return;
        this.inherit();
        process.takeOver(this.tick());
    }
  }

  private leaveOne(waiting: Waiting | undefined): void {
    waiting?.by.left.add(waiting.place);
    waiting?.leave();
  }

  private get owner(): ModelProcess | undefined {
    return this.alive.find(({ ownedFrom }) => ownedFrom < Infinity);
  }

  private start(n: number): void {
    if (this.processes[n]?.isAlive === true) return;
    if (this.owner === undefined) this.inherit();
    this.processes[n] = this.launch(this.owner === undefined ? 'owner' : 'other');
  }

  private launch(role: 'owner' | 'other'): ModelProcess {
    const process = new ModelProcess(this.machine, this.tick(), role);
    process.l2.reads = process.l3.reads = this.scene.reads ?? 'at-once';
    return process;
  }

  private kill(process: ModelProcess): void {
    if (process === this.owner) this.ownerlessSince = this.machine.clock.monotonic();
    process.kill();
    this.running = this.running.filter(({ by }) => by !== process);
    for (const waiting of this.waiting) if (waiting.by === process) this.waiting.delete(waiting);
  }

  private get(process: ModelProcess, { at, key, many }: { at: Place; key: string; many: boolean }): void {
    const manager = process.app.manager(at.lane);
    if (!many) return this.caller(process, at.lane, key)(manager.get(key));
    const expects = [...new Set([key, 'c'])].map((one) => [one, this.caller(process, at.lane, one)] as const);
    const found = manager.getMany([key, 'c']);
    for (const [one, expect] of expects) expect(found.then((values) => values.get(one)));
  }

  private ask(process: ModelProcess, { at, key, how }: { at: Place; key: string; how: How }): void {
    const leaving = new AbortController();
    const options = { ...this.optionsOf(key, how), signal: leaving.signal };
    const compute = (ctx: ComputeContext): Promise<unknown> =>
      this.compute(process, { lane: at.lane, key, how, isShared: true, ctx });
    const expect = this.caller(process, at.lane, key, how.force);
    expect(process.app.manager(at.lane).getOrSet(key, compute, options), () => leaving.abort(new Error('left')));
  }

  private askMany(process: ModelProcess, { at, key, how }: { at: Place; key: string; how: How }): void {
    const keys = [key, 'c', 'b'];
    const options = this.optionsOf('c', how);
    const computeMissing = async (
      missing: readonly string[],
      ctx: ComputeManyContext,
    ): Promise<Map<string, unknown>> => {
      const values = missing.map(async (one): Promise<[string, unknown]> => {
        const single = { key: one, signal: ctx.signal, setTags: (tags: readonly string[]) => ctx.setTags(one, tags) };
        return [
          one,
          await this.compute(process, { lane: at.lane, key: one, how, isShared: true, ctx: single, isBatch: true }),
        ];
      });
      // The batch is one computation: it ends when all of it has.
      await Promise.allSettled(values);
      const computed = new Map(await Promise.all(values));
      for (const value of computed.values()) this.oracle.ended(value, this.tick(), this.time);
      return computed;
    };
    const expects = [...new Set(keys)].map((one) => [one, this.caller(process, at.lane, one, how.force)] as const);
    const answers = process.app.manager(at.lane).getOrSetMany(keys, computeMissing, options);
    for (const [one, expect] of expects) expect(answers.then((values) => values.get(one)));
  }

  private put(process: ModelProcess, { at, key, how }: { at: Place; key: string; how: How }): void {
    const compute = (ctx: ComputeContext): Promise<unknown> =>
      this.compute(process, { lane: at.lane, key, how, isShared: false, ctx });
    const invalidation = this.oracle.call({
      by: process,
      kind: 'set',
      lane: at.lane,
      subject: key,
      calledAt: this.tick(),
    });
    const expect = this.caller(process, at.lane, key);
    const answer = process.app.manager(at.lane).putComputed(key, compute, this.optionsOf(key, how));
    expect(answer);
    answer.then(
      () => {
        invalidation.resolvedAt = this.tick();
      },
      () => undefined,
    );
  }

  private set(
    process: ModelProcess,
    { at, key, how, many }: { at: Place; key: string; how: How; many: boolean },
  ): void {
    const manager = process.app.manager(at.lane);
    const calledAt = this.tick();
    const keys = many ? [key, 'c'] : [key];
    const values = keys.map((one): [string, unknown] => {
      const made = this.made(process, { lane: at.lane, key: one, how, startedAt: calledAt });
      made.tags = DECLARED[key] ?? [];
      made.storedMs = this.time;
      made.endedAt = calledAt;
      return [one, this.oracle.make(made)];
    });
    const { tags, ttl, grace } = this.optionsOf(key, how);
    const options = { tags: tags ?? [], ttl: ttl ?? this.ttlS, grace: grace ?? 0 };
    const invalidation = keys.map((subject) =>
      this.oracle.call({ by: process, kind: 'set', lane: at.lane, subject, calledAt }),
    );
    const resolved = many ? manager.setMany(values, options) : manager.set(key, values[0]?.[1], options);
    this.whenDone(resolved, () => {
      for (const one of invalidation) one.resolvedAt = this.tick();
    });
  }

  private invalidate(process: ModelProcess, { at, kind, subject }: Action & { do: 'invalidate' }): void {
    const manager = process.app.manager(at.lane);
    const invalidation = this.oracle.call({
      by: process,
      kind,
      lane: laneOf(kind, at.lane),
      subject,
      calledAt: this.tick(),
    });
    this.whenDone(invalidate(manager, kind, subject), () => {
      invalidation.resolvedAt = this.tick();
    });
  }

  /** A call that could not be made durable has promised nothing. */
  private whenDone(work: Promise<unknown>, done: () => void): void {
    work.then(done, (error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'INVALIDATION_NOT_DURABLE'))
        this.violation ??= `P4 a call rejected: ${String(error)}`;
    });
  }

  /** A caller who is about to call; what comes back is for the oracle to judge. */
  private caller(
    by: ModelProcess,
    lane: string,
    key: string,
    isForced = false,
  ): (answer: Promise<unknown>, leave?: () => void) => void {
    const place = `${lane} ${key}`;
    const before = by.staleServed.get(place) ?? 0;
    const mayBeStale = (): boolean => (by.staleServed.get(place) ?? 0) > before;
    const calledMs = this.time;
    const call = { by, lane, key, isForced, calledAt: this.tick(), calledMs, stillAt: this.stillAt, mayBeStale };
    return (answer, leave = () => undefined) => {
      const waiting = { by, place, calledAt: call.calledAt, leave };
      this.waiting.add(waiting);
      const judge = (value: unknown): void => {
        this.waiting.delete(waiting);
        if (by.isAlive && value !== undefined) this.violation ??= this.oracle.judge(call, value);
      };
      answer.then(judge, (error: unknown) => {
        this.waiting.delete(waiting);
        if (!isExpected(error)) this.violation ??= `P4 a caller got ${String(error)}`;
      });
    };
  }

  private made(by: ModelProcess, from: Pick<Made, 'lane' | 'key' | 'startedAt'> & { how: How }): Made {
    const { lane, key, startedAt, how } = from;
    const graceMs = how.graceS * 1_000;
    return {
      by,
      lane,
      key,
      startedAt,
      endedAt: Infinity,
      tags: [],
      storedMs: Infinity,
      ttlMs: this.ttlS * 1_000,
      graceMs,
    };
  }

  private compute(by: ModelProcess, asked: Computation): Promise<unknown> {
    const { lane, key, how, ctx, isShared } = asked;
    // The dead have microtasks left.
    if (!by.isAlive) return new Promise(() => undefined);
    const startedAt = this.tick();
    const made = this.made(by, { lane, key, how, startedAt });
    const isForced = how.force;
    const dueMs = this.time + (how.hardMs ?? Infinity);
    // A caller that waited for a part of a batch may have timed out without an end to all of it.
    const mayBeLeft = asked.isBatch === true && how.hardMs !== undefined;
    this.checkAlone({ by, lane, key, isShared, isForced });
    return new Promise((resolve, reject) => {
      const running: Running = {
        ...{
          by,
          lane,
          key,
          startedAt,
          openedAt: this.openedAt(by, lane, key),
          isForced,
          isShared,
          isAborted: () => ctx.signal.aborted || mayBeLeft,
          isOverdue: () => this.time >= dueMs,
        },
        end: (outcome) => {
          this.running = this.running.filter((other) => other !== running);
          if (outcome === 'failed') return reject(SOURCE_FAILED);
          ctx.setTags(asked.isBatch === true ? tagsOf(key) : (LATE[key] ?? []));
          made.tags = tagsOf(key);
          made.storedMs = this.time;
          made.endedAt = this.tick();
          resolve(this.oracle.make(made));
        },
      };
      this.running.push(running);
    });
  }

  private optionsOf(key: string, how: How): EntryOptions {
    const { force, graceS, softMs, hardMs, refreshAhead } = how;
    return {
      ...{ tags: DECLARED[key] ?? [], ttl: this.ttlS, grace: `${graceS}s`, forceFresh: force, graceBackoff: '1s' },
      ...(softMs === undefined ? {} : { softTimeout: `${softMs}ms` }),
      ...(hardMs === undefined ? {} : { hardTimeout: `${hardMs}ms` }),
      ...(refreshAhead === undefined ? {} : { refreshAhead }),
    };
  }

  /** One computation for all who come, and at most two in all that have not been given up. */
  private checkAlone(next: Pick<Running, 'by' | 'lane' | 'key' | 'isShared' | 'isForced'>): void {
    if (!next.isShared) return;
    const others = this.running.filter(
      ({ by, lane, key, isShared }) => isShared && by === next.by && lane === next.lane && key === next.key,
    );
    if (others.filter(({ isAborted }) => !isAborted()).length >= 2)
      this.violation ??= `P2 a third computation of ${next.key}`;
    for (const { openedAt: startedAt, key, lane, isForced, isAborted, isOverdue } of others) {
      if (isForced || next.isForced || isAborted() || isOverdue()) continue;
      if (this.oracle.hasNewer({ by: next.by, lane, key, startedAt })) continue;
      const tags = tagsOf(key);
      // Who takes over starts anew.
      if (next.by.ownedFrom !== Infinity && next.by.ownedFrom > startedAt) continue;
      if (!this.oracle.hasNamed({ key, lane, tags, startedAt })) this.violation ??= `P2 a second computation of ${key}`;
    }
  }

  /** A look-up, and with it the flight, may have begun long before the computation: with the first who still waits. */
  private openedAt(by: ModelProcess, lane: string, key: string): number {
    const place = `${lane} ${key}`;
    // Who left, or took what was stale, may have been the first.
    if (by.left.has(place) || by.staleServed.has(place)) return 0;
    const calls = [...this.waiting].filter((waiting) => waiting.by === by && waiting.place === place);
    return Math.min(this.now, ...calls.map(({ calledAt }) => calledAt));
  }
}

interface Computation {
  readonly lane: string;
  readonly key: string;
  readonly how: How;
  readonly isShared: boolean;
  readonly isBatch?: boolean;
  readonly ctx: Pick<ComputeContext, 'signal'> & { setTags(tags: readonly string[]): void };
}

function isExpected(error: unknown): boolean {
  if (error === SOURCE_FAILED || (error instanceof Error && error.message === 'left')) return true;
  if (!(error instanceof Error && 'code' in error)) return false;
  return error.code === 'COMPUTE_TIMEOUT' || error.code === 'INVALIDATION_NOT_DURABLE';
}
