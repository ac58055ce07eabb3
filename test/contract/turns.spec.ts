import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { LeasedTurns, type Turn, type Turns } from '../../lib/cache/turns.js';
import { nextTurn, KeepAlive } from '../../lib/clock/clock.js';
import { IpcServer } from '../../lib/ipc/server.js';
import { HostLeases, TurnTable } from '../../lib/ipc/turn-table.js';
import { Connection } from '../../lib/redis/client/connection.js';
import { KeySpace } from '../../lib/redis/keys.js';
import { Leases } from '../../lib/redis/leases.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { Deferred } from '../support/deferred.js';
import { ModelNetwork } from '../support/model-network.js';
import { ModelRedis } from '../support/model-redis.js';
import { StorageBench } from '../support/storage.js';

type Written = () => Promise<unknown>;

/** A process that takes turns, with a clock of its own. */
interface Member {
  readonly clock: FakeClock;
  readonly turns: Turns;
  /** Its connection ends. */
  cut(): void;
}

interface Asked {
  outcome: 'waits' | 'ended' | Turn;
  /** It has learned that another process has the turn. */
  isBlocked: boolean;
}

/** What the members of a kind take their turns from. */
interface Hall {
  /** By which leases end. */
  readonly clock: FakeClock;
  join(hold: KeepAlive, written: Written): Promise<Member>;
  settle(): Promise<void>;
  /** Nobody can be asked any more. */
  shut(): Promise<void>;
}

class RedisHall implements Hall {
  readonly clock = new FakeClock();
  private readonly server = new ModelRedis(() => this.clock.now());
  private readonly networks: ModelNetwork[] = [];

  async join(hold: KeepAlive, written: Written): Promise<Member> {
    const clock = new FakeClock();
    const network = new ModelNetwork(this.server, clock);
    this.networks.push(network);
    const opening = Connection.open(network.template, clock, { timeoutMs: 250, hold, changed: () => undefined });
    await this.settle();
    const session = await opening;
    const leases = new Leases({ keys: new KeySpace('p'), connection: () => session });
    const turns = new LeasedTurns({ table: leases, clock, written, hold });
    // In the app the subscriber reads what was released.
    const release = leases.release.bind(leases);
    leases.release = async (name, token) => {
      await release(name, token);
      for (const one of this.members) one.ended([name]);
    };
    this.members.push(leases);
    return { clock, turns, cut: () => network.cut() };
  }

  async settle(): Promise<void> {
    for (;;) {
      await nextTurn();
      const [step] = this.networks.flatMap(({ steps }) => steps);
      if (step === undefined) return;
      step();
    }
  }

  async shut(): Promise<void> {
    for (const network of this.networks) network.cut();
    await this.settle();
  }

  private readonly members: Leases[] = [];
}

class HostHall implements Hall {
  readonly clock = new FakeClock();
  private readonly table = new TurnTable(this.clock);
  private server: IpcServer | undefined;

  constructor(private readonly path: string) {}

  async join(hold: KeepAlive, written: Written): Promise<Member> {
    const answers = new Map(this.table.answers);
    this.server ??= await IpcServer.listen(this.path, answers, this.clock, { left: this.table.left });
    const clock = new FakeClock();
    const leases = new HostLeases({ clock, owner: () => this.path });
    return { clock, turns: new LeasedTurns({ table: leases, clock, written, hold }), cut: () => leases.close() };
  }

  /** Both ends of each socket are in this process, so what was sent arrives within a few turns. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 40; turn++) await nextTurn();
  }

  async shut(): Promise<void> {
    this.table.close();
    const closing = this.server?.close();
    this.server = undefined;
    for (let step = 0; step < 20; step++) await this.clock.advance('100ms');
    await closing;
  }
}

describe.each(['server', 'owner of the directory'])('turns from the %s', (kind) => {
  const bench = new StorageBench();
  const hold = new KeepAlive();
  let hall: Hall;
  let members: Member[];
  beforeEach(async () => {
    hall = kind === 'server' ? new RedisHall() : new HostHall(await bench.path('socket'));
    members = [];
  });
  afterEach(async () => {
    for (const member of members) member.cut();
    await hall.shut();
    hold.end();
    await bench.dispose();
  });

  const join = async (written: Written = () => Promise.resolve()): Promise<Member> => {
    const member = await hall.join(hold, written);
    members.push(member);
    return member;
  };

  const pass = async (ms: number, stopped?: Member): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 500) {
      await hall.clock.advance('500ms');
      for (const member of members) if (member !== stopped) await member.clock.advance('500ms');
      await hall.settle();
    }
  };

  /** A stopped member goes on, and finds that so much time has passed. */
  const goOn = async ({ clock }: Member, afterMs: number): Promise<void> => {
    for (let passed = 0; passed < afterMs; passed += 500) {
      await clock.advance('500ms');
      await hall.settle();
    }
  };

  /** What comes of it, by now. */
  const take = async ({ turns }: Member, key = 'k'): Promise<Asked> => {
    const state: Asked = { outcome: 'waits', isBlocked: false };
    void turns.take('docs', key, () => (state.isBlocked = true)).then((outcome) => (state.outcome = outcome));
    await hall.settle();
    return state;
  };

  const taken = ({ outcome }: Asked): Turn => {
    if (typeof outcome === 'string') throw new Error(`The turn was not taken: ${outcome}`);
    return outcome;
  };

  const isHeld = async (turn: Turn): Promise<boolean> => {
    const held = turn.isHeld();
    await hall.settle();
    return held;
  };

  it('go to one process at a time, per key, and those who wait learn of the end', async () => {
    const [one, other] = [await join(), await join()];
    const asked = await take(one);
    const mine = taken(asked);
    const theirs = await take(other);
    expect(theirs.outcome).toBe('waits');
    expect([asked.isBlocked, theirs.isBlocked]).toEqual([false, true]);
    taken(await take(other, 'another key')).end();
    mine.end();
    await hall.settle();
    expect(theirs.outcome).toBe('ended');
    taken(await take(other)).end();
    await hall.settle();
  });

  it('end once the value is where others find it', async () => {
    const writing = new Deferred<void>();
    const [one, other] = [await join(() => writing.promise), await join()];
    taken(await take(one)).end();
    const theirs = await take(other);
    expect(theirs.outcome).toBe('waits');
    writing.resolve();
    await hall.settle();
    expect(theirs.outcome).toBe('ended');
  });

  it('last as long as their holder computes, and nobody waits longer than thirty seconds', async () => {
    const [one, other] = [await join(), await join()];
    const mine = taken(await take(one));
    const theirs = await take(other);
    await pass(29_000);
    expect(theirs.outcome).toBe('waits');
    await pass(4_000);
    taken(theirs).end();
    expect(await isHeld(mine)).toBe(true);
    mine.end();
    await hall.settle();
  });

  it('pass to another process within four seconds when their holder is gone', async () => {
    const [one, other] = [await join(), await join()];
    taken(await take(one));
    const theirs = await take(other);
    one.cut();
    await pass(4_000);
    if (theirs.outcome === 'ended') taken(await take(other)).end();
    else taken(theirs).end();
    await hall.settle();
  });

  it('of a directory end with the connection of their holder, those of a server by their time', async () => {
    const [one, other] = [await join(), await join()];
    taken(await take(one));
    const theirs = await take(other);
    one.cut();
    await hall.settle();
    expect(theirs.outcome).toBe(kind === 'server' ? 'waits' : 'ended');
    await pass(4_000);
  });

  it('are lost by a holder that was stopped while another one took them', async () => {
    const [one, other] = [await join(), await join()];
    const mine = taken(await take(one));
    const theirs = await take(other);
    await pass(4_000, one);
    const next = taken(theirs);
    await goOn(one, 4_000);
    expect([await isHeld(mine), await isHeld(next)]).toEqual([false, true]);
    mine.end();
    await hall.settle();
    expect((await take(one)).outcome).toBe('waits');
    next.end();
    await hall.settle();
  });

  it('are kept by a holder that was stopped while nobody wanted them', async () => {
    const [one, other] = [await join(), await join()];
    const mine = taken(await take(one));
    await pass(10_000, one);
    await goOn(one, 10_000);
    expect(await isHeld(mine)).toBe(true);
    expect((await take(other)).outcome).toBe('waits');
    mine.end();
    await hall.settle();
  });

  it('stay ended, also for a holder that asks about them later', async () => {
    const [one, other] = [await join(), await join()];
    const mine = taken(await take(one));
    mine.end();
    await hall.settle();
    await pass(5_000);
    expect(await isHeld(mine)).toBe(false);
    taken(await take(other)).end();
    await hall.settle();
  });

  it("are everybody's while nobody can be asked, and what is computed then may be stored", async () => {
    const [one, other] = [await join(), await join()];
    const mine = taken(await take(one));
    await hall.shut();
    const theirs = taken(await take(other));
    await pass(5_000);
    expect([await isHeld(mine), await isHeld(theirs)]).toEqual([true, true]);
    mine.end();
    theirs.end();
    await hall.settle();
  });
});
