import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { LifeClock, nextTurn } from '../../../lib/clock/clock.js';
import { ConnectionLost, OwnerForeign } from '../../../lib/ipc/client.js';
import {
  decodeHead,
  decodeNames,
  encodeFound,
  encodeHead,
  encodeUsage,
  type FoundEntry,
  type FrameHead,
} from '../../../lib/ipc/entry-frames.js';
import { decodeRecord, RecordReader } from '../../../lib/entries/record.js';
import { ValueCodec } from '../../../lib/entries/codec/value-codec.js';
import { type EntryConnection, RemoteL3 } from '../../../lib/ipc/remote-l3.js';
import { SharedL3 } from '../../../lib/ipc/shared-l3.js';
import type { LogCursor, Standing } from '../../../lib/invalidation/shared-log.js';
import { resolveLanes } from '../../../lib/lanes/resolve-lanes.js';
import { recordOf } from '../../../lib/testing/tier-contract-records.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { Deferred } from '../../support/deferred.js';
import { Jobs } from '../../support/jobs.js';
import { ModelDisk, ModelTier } from '../../support/model-tier.js';
import { forged } from '../../support/record-fields.js';
import { RecordingEvents } from '../../support/stored-tiers.js';

const PLACE = { generation: 'ab'.repeat(16), position: 100, checksum: 1 };

/** An owner that answers when the test says so. */
class Owner implements EntryConnection {
  readonly ownerPid = 7;
  readonly asked: Buffer[] = [];
  readonly syncs: FrameHead[] = [];
  readonly dropped: string[] = [];
  /** It answers what needs no disk. */
  isAwake = true;
  answer: (body: Buffer) => void = () => undefined;
  end: () => void = () => undefined;
  held = 0;

  onEntryFrame(take: (body: Buffer) => void): void {
    this.answer = take;
  }

  async *parts(): AsyncGenerator<never> {
    // It lists nothing.
  }

  whenLost(tell: () => void): void {
    this.end = tell;
  }

  sendEntryFrame(body: Buffer): void {
    const head = decodeHead(body);
    if (head.kind === 'read' || head.kind === 'peek') this.asked.push(body);
    if (head.kind === 'sync') this.syncs.push(head);
    if (head.kind === 'drop') this.dropped.push(...decodeNames(body).map(({ key }) => key));
    if (head.kind === 'usage' && this.isAwake) this.answer(encodeUsage({ ...head, kind: 'used' }, []));
  }

  /** It has stored what was offered before the oldest question about that. */
  store(): void {
    const head = this.syncs.shift();
    if (head === undefined) throw new Error('nothing was asked');
    this.answer(encodeHead({ ...head, kind: 'synced' }));
  }

  hold(): void {
    this.held++;
  }

  release(): void {
    this.held--;
  }

  close(): void {
    this.end();
  }

  /** Answers the oldest question. Each key is found as `value of <key>`, or as `found` says. */
  reply({
    found,
    ...as
  }: Partial<Pick<FrameHead, 'generation' | 'position'>> & { readonly found?: FoundEntry } = {}): void {
    const body = this.asked.shift();
    if (body === undefined) throw new Error('nothing was asked');
    const head = { ...decodeHead(body), position: PLACE.position, ...as, kind: 'found' } as const;
    const entries = decodeNames(body).map(({ key }): FoundEntry => {
      const { bytes, expiresAt } = recordOf(key, { text: `value of ${key}` });
      return found ?? { outcome: 'hit', expiresAt, bytes };
    });
    this.answer(encodeFound(head, entries));
  }
}

describe('L3 through its owner', () => {
  let clock: FakeClock;
  let owner: Owner;
  let isThere: boolean;
  let refusal: Error;
  let tier: RemoteL3;
  beforeEach(async () => {
    clock = new FakeClock();
    owner = new Owner();
    isThere = true;
    refusal = new ConnectionLost('gone');
    tier = new RemoteL3({
      ...{ path: '', clock, life: new LifeClock(clock), events: new RecordingEvents(), lanes: resolveLanes() },
      hostLog: { isOn: true, place: PLACE, unechoed: () => [], offerable: () => PLACE },
      sharedLog: undefined,
      position: () => 5,
      open: () => (isThere ? Promise.resolve(owner) : Promise.reject(refusal)),
    });
    await tier.connect();
  });
  // A wait that is not over would keep the process alive.
  afterEach(() => void tier.leave());
  const outcomes: string[] = [];
  const read = (key: string): void => {
    void Promise.resolve(tier.read('standard', key)).then(({ outcome }) => outcomes.push(`${key} ${outcome}`));
  };
  beforeEach(() => {
    outcomes.length = 0;
  });

  it('asks for the keys of one step in one question, and keeps the process alive until it is answered', async () => {
    for (const key of ['a', 'b', 'c']) read(key);
    await nextTurn();
    expect([owner.asked.length, owner.held]).toEqual([1, 1]);
    owner.reply();
    await nextTurn();
    expect([outcomes, owner.held]).toEqual([['a hit', 'b hit', 'c hit'], 0]);
  });

  it('gives up an owner that has not answered after 50 ms, and leaves it alone for a moment', async () => {
    read('a');
    await clock.advance('49ms');
    expect(outcomes).toEqual([]);
    await clock.advance('1ms');
    expect([outcomes, owner.held]).toEqual([['a off'], 0]);
    read('b');
    await nextTurn();
    expect(outcomes).toEqual(['a off', 'b off']);
    // Twice as long after each deadline that it misses.
    await clock.advance('50ms');
    read('c');
    await clock.advance('50ms');
    await clock.advance('99ms');
    read('d');
    await nextTurn();
    expect(outcomes).toEqual(['a off', 'b off', 'c off', 'd off']);
    await clock.advance('1ms');
    read('e');
    await nextTurn();
    owner.asked.splice(0, 2);
    owner.reply();
    await nextTurn();
    expect(outcomes.at(-1)).toBe('e hit');
    // An answer in time ends that.
    read('f');
    await clock.advance('50ms');
    await clock.advance('50ms');
    read('g');
    await nextTurn();
    owner.asked.splice(0, 1);
    owner.reply();
    await nextTurn();
    expect(outcomes.slice(-2)).toEqual(['f off', 'g hit']);
  });

  it.each<readonly [Standing, number]>([
    ['counts', 1],
    ['named', 0],
    ['unknown', 0],
  ])(
    "offers what waited for this process's records only if it still counts by the server's log (%s)",
    async (standing, offered) => {
      const [server, judged] = [{ generation: 'of the server', sequence: 3 }, new Deferred<typeof PLACE>()];
      let cursor = server;
      const asOf: unknown[] = [];
      const judge = (at: LogCursor): Standing => {
        asOf.push(at);
        return standing;
      };
      const beside = new RemoteL3({
        ...{ path: '', clock, life: new LifeClock(clock), events: new RecordingEvents(), lanes: resolveLanes() },
        hostLog: { isOn: true, place: PLACE, unechoed: () => [], offerable: () => judged.promise },
        sharedLog: {
          get cursor() {
            return cursor;
          },
          judge,
        },
        position: () => 5,
        open: () => Promise.resolve(owner),
      });
      await beside.connect();
      expect(beside.offer('standard', recordOf('k'))).toBe('queued');
      cursor = { ...server, sequence: 9 };
      judged.resolve(PLACE);
      await clock.advance('100ms');
      expect([owner.syncs.length, asOf]).toEqual([offered, [server]]);
      beside.leave();
    },
  );

  it('has flushed once each offer that waited for records of this process is stored', async () => {
    const judged = [new Deferred<typeof PLACE>(), new Deferred<typeof PLACE>()];
    const waiting = judged.values();
    const beside = new RemoteL3({
      ...{ path: '', clock, life: new LifeClock(clock), events: new RecordingEvents(), lanes: resolveLanes() },
      hostLog: {
        ...{ isOn: true, place: PLACE, unechoed: () => [] },
        offerable: () => waiting.next().value?.promise,
      },
      ...{ sharedLog: undefined, position: () => 5, open: () => Promise.resolve(owner) },
    });
    await beside.connect();
    for (const key of ['a', 'b']) beside.offer('standard', recordOf(key));
    let isFlushed = false;
    void beside.flush().then(() => (isFlushed = true));
    for (const one of judged) {
      await nextTurn();
      expect(isFlushed).toBe(false);
      one.resolve(PLACE);
      await nextTurn();
      while (owner.syncs.length > 0) owner.store();
    }
    await nextTurn();
    expect(isFlushed).toBe(true);
    beside.leave();
  });

  it('waits for no question longer than 50 ms, with one timer for all', async () => {
    const timers = clock.pending;
    const ends: (readonly [string, number])[] = [];
    const ask = async (key: string): Promise<void> => {
      await tier.read('standard', key);
      ends.push([key, clock.monotonic()]);
    };
    void ask('answered');
    await clock.advance('1ms');
    owner.reply();
    await clock.advance('29ms');
    void ask('late');
    await clock.advance('5ms');
    void ask('later');
    await clock.advance('1ms');
    expect(clock.pending).toBe(timers + 1);
    await clock.advance('1s');
    expect(ends).toEqual([
      ['answered', 1],
      ['late', 80],
      ['later', 85],
    ]);
  });

  it('uses an answer that has arrived by the end of the 50 ms', async () => {
    clock.schedule(
      50,
      () =>
        void nextTurn()
          .then(nextTurn)
          .then(() => owner.reply()),
    );
    read('a');
    await clock.advance('50ms');
    await nextTurn();
    expect(outcomes).toEqual(['a hit']);
  });

  it('uses no answer that comes late, or from before the question', async () => {
    read('a');
    await clock.advance('50ms');
    owner.reply();
    await clock.advance('50ms');
    read('b');
    await nextTurn();
    owner.reply({ position: PLACE.position - 1 });
    await nextTurn();
    expect(outcomes).toEqual(['a off', 'b off']);
  });

  it('uses no answer of an owner that follows another history', async () => {
    read('a');
    await nextTurn();
    owner.reply({ generation: 'ff'.repeat(16), position: PLACE.position + 1 });
    await nextTurn();
    expect(outcomes).toEqual(['a miss']);
  });

  it('says once that the owner speaks another protocol, and keeps nothing for it', async () => {
    const reported = new RecordingEvents();
    let tries = 0;
    const open = (): Promise<EntryConnection> =>
      Promise.reject(new OwnerForeign(`process 7 speaks another one`, { cause: ++tries }));
    const hostLog = { isOn: true, place: PLACE, unechoed: () => [], offerable: () => PLACE };
    const settings = {
      path: '',
      clock,
      life: new LifeClock(clock),
      lanes: resolveLanes(),
      hostLog,
      sharedLog: undefined,
    };
    const other = new RemoteL3({ ...settings, events: reported, position: () => 5, open });
    await other.connect();
    await clock.advance('5s');
    expect(tries).toBeGreaterThan(3);
    expect(reported.states).toEqual(['off in-use']);
    expect(other.offer('standard', recordOf('a'))).toBe('off');
  });

  it('says of an entry that only another release or Node can read that it is there, and goes on with the owner', async () => {
    read('a');
    await nextTurn();
    const { bytes, expiresAt } = recordOf('a', { text: 'of another Node' });
    owner.reply({ found: { outcome: 'hit', expiresAt, bytes: forged(bytes, 2, 9) } });
    read('b');
    await nextTurn();
    owner.reply();
    await nextTurn();
    expect(outcomes).toEqual(['a unreadable', 'b hit']);
  });

  it('ends the life of an entry when the owner says that it ended, and keeps its grace as long', async () => {
    const asOwned = recordOf('k', { text: 'v' });
    const before = decodeRecord(Buffer.from(asOwned.bytes));
    const asked = tier.read('standard', 'k');
    await nextTurn();
    owner.reply({ found: { outcome: 'hit', expiresAt: before.expiresAt - 10, bytes: asOwned.bytes } });
    const lookup = await asked;
    const { expiresAt, staleUntil, birth } =
      lookup.outcome === 'hit' ? decodeRecord(Buffer.from(lookup.record.bytes)) : before;
    expect({ expiresAt, staleUntil, birth }).toEqual({
      expiresAt: before.expiresAt - 10,
      staleUntil: before.staleUntil - 10,
      birth: 5,
    });
  });

  it('gives up what was asked of an owner that ends, and asks the next one', async () => {
    read('a');
    await nextTurn();
    isThere = false;
    owner.end();
    await nextTurn();
    read('b');
    await clock.advance('50ms');
    expect([outcomes, tier.state]).toEqual([['a off', 'b off'], { state: 'off', reason: 'in-use' }]);
    owner = new Owner();
    isThere = true;
    await clock.advance('50ms');
    read('c');
    await nextTurn();
    owner.reply({ found: { outcome: 'miss' } });
    await nextTurn();
    expect(outcomes.at(-1)).toBe('c miss');
  });

  describe('while one owner follows another', () => {
    let own: ModelTier;
    let shared: SharedL3;
    const outcome: string[] = [];
    const look = (key: string): void => {
      void Promise.resolve(shared.read('standard', key)).then((found) => outcome.push(`${key} ${found.outcome}`));
    };
    beforeEach(() => {
      own = new ModelTier('l3', ['standard'], new ModelDisk(), new Jobs());
      own.offer('standard', recordOf('a'));
      shared = new SharedL3(own);
      shared.remote = tier;
      outcome.length = 0;
    });
    const lose = async (): Promise<void> => {
      isThere = false;
      owner.end();
      await nextTurn();
    };

    it('asks the next one, also for what the last one has not answered', async () => {
      look('a');
      await nextTurn();
      await lose();
      look('b');
      void Promise.resolve(shared.peek('standard', 'c')).then((found) => outcome.push(`c ${found.outcome}`));
      await clock.advance('100ms');
      expect(outcome).toEqual([]);
      owner = new Owner();
      isThere = true;
      await clock.advance('50ms');
      for (const answers = ['a', 'b', 'c']; answers.length > 0; answers.pop()) {
        if (owner.asked.length > 0) owner.reply();
        await nextTurn();
      }
      expect(outcome.toSorted()).toEqual(['a hit', 'b hit', 'c hit']);
    });

    it('asks the next one at once, also if the last one did not answer', async () => {
      look('a');
      await clock.advance('50ms');
      await lose();
      owner = new Owner();
      isThere = true;
      look('b');
      await clock.advance('10ms');
      owner.reply();
      await nextTurn();
      expect(outcome).toEqual(['a off', 'b hit']);
    });

    it('does not wait where that may take longer than the caller has patience', async () => {
      await lose();
      const found = await shared.read('standard', 'a', 200);
      expect(found.outcome).toBe('off');
      const reading = shared.readValue('standard', 'b', new RecordReader(new ValueCodec()), 250);
      isThere = true;
      owner = new Owner();
      await clock.advance('20ms');
      owner.reply();
      expect((await reading).outcome).toBe('hit');
    });

    it('uses its own L3 once it has become the owner itself', async () => {
      look('a');
      await nextTurn();
      tier.inherit();
      await clock.advance('100ms');
      expect(outcome).toEqual([]);
      own.isFollowed = true;
      tier.leave();
      await nextTurn();
      expect(outcome).toEqual(['a hit']);
    });

    it('waits for 250 ms at most, once', async () => {
      await lose();
      look('a');
      await clock.advance('240ms');
      expect(outcome).toEqual([]);
      await clock.advance('20ms');
      look('b');
      await nextTurn();
      expect(outcome).toEqual(['a off', 'b off']);
    });

    it('does not wait for a frozen owner, one of another protocol, or one that it has just closed', async () => {
      look('a');
      await clock.advance('50ms');
      look('b');
      await nextTurn();
      await lose();
      refusal = new OwnerForeign('another protocol');
      await clock.advance('50ms');
      look('c');
      await nextTurn();
      await tier.close();
      look('d');
      await nextTurn();
      expect(outcome).toEqual(['a off', 'b off', 'c off', 'd off']);
    });
  });

  describe('for a bulk write', () => {
    const MEGABYTE = Buffer.alloc(1024 * 1024);
    const offer = (count: number): string[] =>
      Array.from({ length: count }, (_, n) => tier.offer('standard', recordOf(`k${n}`, { value: MEGABYTE })));
    let rooms: number;
    /** Asks until there is room, as a bulk write does. */
    const wait = async (): Promise<void> => {
      for (let room = tier.whenRoom(); room !== undefined; room = tier.whenRoom()) await room;
      rooms++;
    };
    beforeEach(() => {
      rooms = 0;
    });

    it('has room until much waits, and again once the owner has stored some of it', async () => {
      offer(3);
      expect(tier.whenRoom()).toBeUndefined();
      offer(2);
      void wait();
      await clock.advance('10ms');
      expect(rooms).toBe(0);
      owner.store();
      owner.store();
      await clock.advance('0ms');
      expect(rooms).toBe(1);
    });

    it('waits as long as the owner answers, however long that takes to store', async () => {
      offer(6);
      void wait();
      for (let passed = 0; passed < 20; passed++) await clock.advance('500ms');
      expect(rooms).toBe(0);
      for (let stored = 0; stored < 3; stored++) owner.store();
      await clock.advance('0ms');
      expect(rooms).toBe(1);
    });

    it('waits 50 ms for an owner that is silent, and a second more before it refuses what it has no room for', async () => {
      owner.isAwake = false;
      offer(6);
      void wait();
      await clock.advance('49ms');
      expect(rooms).toBe(0);
      await clock.advance('1ms');
      expect(rooms).toBe(1);
      // There is still room for more.
      expect(tier.whenRoom()).toBeUndefined();
      offer(10);
      void wait();
      await clock.advance('999ms');
      expect(rooms).toBe(1);
      await clock.advance('1ms');
      expect(rooms).toBe(2);
      expect(offer(17).slice(-2)).toEqual(['queued', 'backlog']);
      // No other one waits for it.
      expect(tier.whenRoom()).toBeUndefined();
      // It is waited for again once it is heard.
      owner.store();
      expect(tier.whenRoom()).toBeInstanceOf(Promise);
    });

    it('waits for the next owner, although the one before was silent', async () => {
      owner.isAwake = false;
      offer(6);
      void wait();
      await clock.advance('50ms');
      expect([rooms, tier.whenRoom()]).toEqual([1, undefined]);
      owner.end();
      await clock.advance('50ms');
      expect(tier.whenRoom()).toBeInstanceOf(Promise);
    });

    it('loses nothing to an owner that is heard again within the second', async () => {
      owner.isAwake = false;
      offer(16);
      void wait();
      await clock.advance('900ms');
      expect(rooms).toBe(0);
      for (let stored = 0; stored < 16; stored++) owner.store();
      await clock.advance('0ms');
      expect(rooms).toBe(1);
      expect(offer(28)).not.toContain('backlog');
    });

    it('leaves no older value at the owner of an entry that was refused', () => {
      const refused = offer(34).flatMap((answer, n) => (answer === 'backlog' ? [`k${n}`] : []));
      expect(refused).toContain('k33');
      expect(owner.dropped).toEqual(refused);
    });

    it('does not wait where there is no owner', async () => {
      offer(6);
      isThere = false;
      owner.end();
      expect(tier.whenRoom()).toBeUndefined();
      void wait();
      await nextTurn();
      expect(rooms).toBe(1);
    });

    it('waits no longer when the owner ends meanwhile', async () => {
      offer(6);
      void wait();
      isThere = false;
      owner.end();
      await nextTurn();
      expect(rooms).toBe(1);
    });
  });
});
