import { nextTurn } from '../../../lib/clock/clock.js';
import type { ComputeContext } from '../../../lib/cache/call-options.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { unevenNumbers } from '../../support/audit.js';
import { ModelLogDisk } from '../../support/model-log-disk.js';
import { DECLARED, invalidate, KEYS, laneOf, LATE, type ModelWorld, SOURCE_FAILED, tagsOf } from '../harness/model.js';
import type { Invalidation } from '../harness/oracle.js';
import type { Action, Fault, Scene } from './actions.js';
import { Oracle } from './oracle.js';
import { HostDisk, HostProcess, Wire } from './process.js';

interface Running {
  readonly by: HostProcess;
  end(outcome: 'ok' | 'failed'): void;
}

const LANE = 'standard';
const GARBAGE = Buffer.from('LR\u0009\0\0\0no record', 'latin1');

/** Everything of one run: processes, the files they share, what was asked of them, and the oracle who watches. */
export class World implements ModelWorld<Action> {
  violation: string | undefined;
  readonly tally = { l1: 0, l3: 0, owner: 0, computed: 0 };
  private readonly clock = new FakeClock();
  private readonly files = new ModelLogDisk();
  private readonly l3 = new HostDisk();
  private readonly oracle = new Oracle();
  private readonly processes: (HostProcess | undefined)[];
  private wires: Wire[] = [];
  private running: Running[] = [];
  private readonly pending = new Map<HostProcess, number>();
  private now = 0;

  constructor(scene: Scene) {
    this.processes = Array.from({ length: scene.processes });
  }

  async take(action: Action): Promise<void> {
    if (this.now === 0) await this.begin();
    await this.perform(action);
    await nextTurn();
    for (const { app } of this.alive) {
      const [wrong] = unevenNumbers(app);
      if (wrong !== undefined) this.violation ??= `P8 ${wrong}`;
    }
  }

  /** Everything is mended and comes to its end. Then everybody is asked for everything, from memory and from L3. */
  async finish(): Promise<void> {
    if (this.now === 0) await this.begin();
    this.files.state = 'sound';
    for (const process of this.alive) process.isFrozen = false;
    for (let round = 0; round < 60 && this.violation === undefined; round++) {
      for (const number of this.processes.keys()) await this.start(number);
      if (this.owner === undefined) this.alive[0]?.claim();
      this.running[0]?.end('ok');
      for (const process of this.alive)
        for (let left = 200; left > 0 && this.work(process, 0); left--) await nextTurn();
      await this.clock.advance('60ms');
      if (this.isCalm && round > 3) break;
    }
    // Nor would what is asked of it then.
    if (!this.isCalm) this.violation ??= 'LIVE something never ended';
    if (this.violation !== undefined) return;
    await this.askAll();
    for (const { app } of this.alive) app.memory.clearAll();
    await this.askAll();
  }

  leave(): void {
    for (const process of this.alive) this.kill(process, 'at-once');
  }

  private get alive(): readonly HostProcess[] {
    return this.processes.filter((process) => process?.isAlive === true) as HostProcess[];
  }

  private get owner(): HostProcess | undefined {
    return this.alive.find(({ isOwner }) => isOwner);
  }

  private get isCalm(): boolean {
    return this.running.length === 0 && this.alive.every((process) => (this.pending.get(process) ?? 0) === 0);
  }

  private async begin(): Promise<void> {
    this.now = 1;
    await this.start(0);
    this.alive[0]?.claim();
    for (const number of this.processes.keys()) await this.start(number);
  }

  private async perform(action: Action): Promise<void> {
    switch (action.do) {
      case 'finish': {
        const running = this.running.filter(({ by }) => !by.isFrozen);
        return running[action.n % Math.max(1, running.length)]?.end(action.outcome);
      }
      case 'time':
        return this.clock.advance(`${action.ms}ms`);
      case 'start':
        return this.start(action.process);
      case 'disk':
        return this.spoil(action.what);
      case 'power':
        return this.cutPower(action.unsynced);
      default:
        await this.performAt(action);
    }
  }

  private async performAt(
    action: Exclude<Action, { do: 'finish' | 'time' | 'start' | 'disk' | 'power' }>,
  ): Promise<void> {
    const process = this.processes[action.process];
    if (process?.isAlive !== true) return;
    if (action.do === 'thaw') process.isFrozen = false;
    if (action.do === 'kill') return this.kill(process, action.how);
    if (process.isFrozen) return;
    switch (action.do) {
      case 'ask':
        return this.ask(process, action.key, action.force);
      case 'get':
        return this.get(process, action.key);
      case 'set':
        return this.set(process, action.key);
      case 'invalidate':
        return this.invalidate(process, action);
      case 'forget':
        return void process.app.memory.space(LANE).delete(action.key);
      case 'freeze':
        process.isFrozen = true;
        return;
      case 'claim':
        if (this.owner === undefined) process.claim();
        return;
      case 'rotate':
        return process.rotate();
      case 'work':
        for (let left = action.many; left > 0 && this.work(process, action.n); left--) await nextTurn();
    }
  }

  /** One thing that is under way for this process: an append, a sync, a commit of L3, a frame that arrives. */
  private work(process: HostProcess, n: number): boolean {
    const steps: (() => void)[] = [];
    if (process.jobs.size > 0) steps.push(() => process.jobs.run(0));
    if (process.l3.queued > 0) steps.push(() => process.l3.commit());
    for (const wire of this.wires) {
      if (wire.to === process && wire.up.length > 0) steps.push(() => wire.deliverUp());
      if (wire.from === process && wire.down.length > 0) steps.push(() => wire.deliverDown());
    }
    steps[n % Math.max(1, steps.length)]?.();
    return steps.length > 0;
  }

  private spoil(what: Fault): void {
    if (what === 'garbage') this.files.spoil(GARBAGE);
    // A process that a removal has left behind is found by its own look, within 250 ms. Nobody removes twice in that time.
    else if (what === 'removed') {
      if (this.alive.every(({ isInPlace }) => isInPlace)) this.files.files.clear();
    } else this.files.state = what === 'room' ? 'sound' : what;
  }

  private cutPower(unsynced: 'kept' | 'lost'): void {
    for (const process of this.alive) this.kill(process, 'at-once');
    this.files.cutPower(unsynced);
  }

  private async start(number: number): Promise<void> {
    if (this.processes[number]?.isAlive === true) return;
    const { clock, files, l3 } = this;
    const connect = (from: HostProcess): Wire | undefined => {
      const { owner } = this;
      if (owner === undefined || owner === from) return undefined;
      const wire = new Wire(from, owner);
      this.wires.push(wire);
      return wire;
    };
    this.processes[number] = await HostProcess.start({ clock, files, l3, connect });
  }

  private kill(process: HostProcess, how: 'at-once' | 'torn'): void {
    const { l1, l3, computed } = process.app.manager(LANE).getMetrics();
    this.tally.l1 += l1.hits;
    this.tally[process.isOwner ? 'owner' : 'l3'] += l3.hits;
    this.tally.computed += computed;
    process.kill(how);
    const ended = this.wires.filter(({ from, to }) => from === process || to === process);
    this.wires = this.wires.filter((wire) => !ended.includes(wire));
    for (const wire of ended)
      if (wire.from === process) wire.close();
      else wire.cut();
    this.running = this.running.filter(({ by }) => by !== process);
  }

  private ask(by: HostProcess, key: string, forceFresh: boolean): void {
    const compute = (ctx: ComputeContext): Promise<unknown> => this.compute(by, key, ctx);
    this.answered(by, key, (manager) => manager.getOrSet(key, compute, { tags: DECLARED[key] ?? [], forceFresh }));
  }

  private get(by: HostProcess, key: string): void {
    this.answered(by, key, (manager) => manager.get(key));
  }

  private compute(by: HostProcess, key: string, ctx: ComputeContext): Promise<unknown> {
    const startedAt = ++this.now;
    return new Promise((resolve, reject) => {
      const running: Running = {
        by,
        end: (outcome) => {
          this.running = this.running.filter((other) => other !== running);
          if (outcome === 'failed') return reject(SOURCE_FAILED);
          ctx.setTags(LATE[key] ?? []);
          resolve(this.oracle.make({ lane: LANE, key, startedAt, tags: tagsOf(key) }));
        },
      };
      this.running.push(running);
    });
  }

  private set(by: HostProcess, key: string): void {
    const tags = DECLARED[key] ?? [];
    const calledAt = ++this.now;
    const value = this.oracle.make({ lane: LANE, key, startedAt: calledAt, tags });
    const invalidation = this.oracle.call({ by, kind: 'set', lane: LANE, subject: key, calledAt });
    this.resolves(by, invalidation, by.app.manager(LANE).set(key, value, { tags }));
  }

  private invalidate(by: HostProcess, { kind, subject }: Extract<Action, { do: 'invalidate' }>): void {
    const invalidation = this.oracle.call({ by, kind, lane: laneOf(kind, LANE), subject, calledAt: ++this.now });
    this.resolves(by, invalidation, invalidate(by.app.manager(LANE), kind, subject));
  }

  private resolves(by: HostProcess, invalidation: Invalidation<HostProcess>, work: Promise<unknown>): void {
    this.wait(by, 1);
    work.then(
      () => {
        this.wait(by, -1);
        if (by.isAlive) invalidation.resolvedAt = ++this.now;
      },
      (error: unknown) => {
        this.wait(by, -1);
        const code = error instanceof Error && 'code' in error ? error.code : undefined;
        if (by.isAlive && code !== 'INVALIDATION_NOT_DURABLE')
          this.violation ??= `P4 a call rejected: ${String(error)}`;
      },
    );
  }

  private answered(by: HostProcess, key: string, call: (manager: Manager) => Promise<unknown>): void {
    const calledAt = ++this.now;
    this.wait(by, 1);
    call(by.app.manager(LANE)).then(
      (value) => {
        this.wait(by, -1);
        if (by.isAlive && value !== undefined) this.violation ??= this.oracle.judge(key, calledAt, value);
      },
      (error: unknown) => {
        this.wait(by, -1);
        if (by.isAlive && error !== SOURCE_FAILED) this.violation ??= `P4 a caller got ${String(error)}`;
      },
    );
  }

  private wait(by: HostProcess, more: number): void {
    this.pending.set(by, (this.pending.get(by) ?? 0) + more);
  }

  private async askAll(): Promise<void> {
    for (const process of this.alive) for (const key of KEYS) this.get(process, key);
    for (let round = 0; round < 20; round++) {
      for (const process of this.alive) while (this.work(process, 0)) await nextTurn();
      await nextTurn();
    }
  }
}

type Manager = ReturnType<HostProcess['app']['manager']>;
