import { nextTurn } from '../../lib/clock/clock.js';
import type { CacheManager, EntryOptions } from '../../lib/index.js';
import type { FakeClock } from '../../lib/testing/index.js';
import { Deferred } from './deferred.js';

const LANES = ['standard', 'docs'] as const;
const KEYS = ['a', 'b', 'c', 'page:1', 'page:2'] as const;
const TAGS = ['even', 'odd', 'late'] as const;
const SOURCE_FAILED = new Error('the source failed');
const LEFT = new Error('the caller left');
const DEEPEST = 4;

interface Place {
  readonly lane: string;
  readonly key: string;
}

const nameOf = ({ lane, key }: Place): string => `${lane}:${key}`;
const tagOf = ({ key }: Place): string => (KEYS.indexOf(key as 'a') % 2 === 0 ? 'even' : 'odd');

/** A value that was computed or handed in. Times are ticks of the world: no two things happen at the same one. */
interface Made {
  readonly place: Place;
  readonly startedAt: number;
  readonly tags: string[];
  /**
   * Its place in the order of values: when its computation started. A value that was put takes its place at some time
   * between the end of its computation and the answer.
   */
  rank: { readonly from: number; readonly to: number };
}

interface Invalidation {
  readonly calledAt: number;
  resolvedAt: number;
  readonly matches: (place: Place, tags: readonly string[]) => boolean;
}

interface Running {
  readonly place: Place;
  readonly startedAt: number;
  readonly isForced: boolean;
  readonly isBatch: boolean;
  /** It goes past the cache, so it is shared with nobody. */
  readonly isPast: boolean;
  /** Epoch ms at which it started, and from which nobody has to join it. */
  readonly since: number;
  readonly dueAt: number;
  readonly isAborted: () => boolean;
  /** What it asks the cache for at this moment. */
  readonly asksFor: Place[];
}

/** How a call is made. */
interface Manner {
  readonly depth: number;
  readonly isPast: boolean;
  readonly isForced: boolean;
  readonly hardMs: number | undefined;
  readonly options: EntryOptions;
}

interface Context {
  readonly signal: AbortSignal;
}

/**
 * Computations that ask the cache for other keys, fail, hang, time out, tag, invalidate and refuse to be stored, in an order
 * that is drawn at random. The world knows the calls and their answers alone, and holds the answers to the promises.
 */
export class NestedWorld {
  /** The first promise that was broken. */
  violation: string | undefined;
  readonly tally = { values: 0, circles: 0, timeouts: 0, failures: 0, nested: 0, hung: 0 };
  private now = 0;
  private readonly made: Made[] = [];
  private readonly invalidations: Invalidation[] = [];
  /** When computations of a place ended. */
  private readonly ends: { readonly place: string; at: number }[] = [];
  private readonly seen: { readonly place: string; readonly at: number; readonly rank: number }[] = [];
  private running: Running[] = [];
  private readonly callers = new Set<string>();
  private readonly leaving: AbortController[] = [];
  private waiting: Deferred<void>[] = [];
  private hanging: Deferred<void>[] = [];

  constructor(
    private readonly cache: CacheManager,
    private readonly clock: FakeClock,
    private readonly random: () => number,
  ) {}

  /** One step: a call from outside, an invalidation, the end of a wait, or time. */
  async step(): Promise<void> {
    const act = this.oneOf<() => unknown>([
      () => this.ask(undefined),
      () => this.ask(undefined),
      () => this.ask(undefined),
      () => this.askMany(undefined),
      () => this.get(),
      () => this.set(),
      () => this.put(undefined, 0),
      () => this.invalidate(),
      () => this.release(),
      () => this.release(),
      () => this.release(),
      () => this.leave(),
      () => this.time(),
    ]);
    // Callers judge their own answers.
    Promise.resolve(act()).catch(() => undefined);
    if (this.chance(0.6)) await nextTurn();
  }

  private time(): void {
    void this.clock.advance(`${this.oneOf([1, 400, 1_100])}ms`);
  }

  /** Lets everything that waits go on. Each caller has to get an answer. */
  async end(): Promise<void> {
    for (let round = 0; round < 300 && this.callers.size + this.running.length > 0; round++) {
      for (const wait of this.waiting.splice(0)) wait.resolve();
      if (round > 100) for (const wait of this.hanging.splice(0)) wait.resolve();
      await this.clock.advance(round % 10 === 9 ? '1s' : '1ms');
      if (round % 10 === 0) await this.cache.flush();
    }
    if (this.callers.size > 0) this.broken(`${[...this.callers].join(', ')} never got an answer`);
  }

  private ask(asker: Running | undefined, depth = 0): Promise<unknown> {
    const place = this.place();
    const manner = this.manner(depth);
    const compute = async (
      ctx: Context & { setTags(tags: string[]): void; setTtl(ttl: 0): void; skipCache(): void },
    ) => {
      const made = this.begin(place, this.runningOf(place, manner, ctx));
      const [value] = await this.compute([made], manner, {
        tag: (tags) => ctx.setTags(tags),
        refuse: () => (this.chance(0.5) ? ctx.skipCache() : ctx.setTtl(0)),
      });
      return value;
    };
    return this.called(asker, [place], () =>
      this.lane(place).getOrSet(place.key, compute, { ...manner.options, tags: [tagOf(place)] }),
    );
  }

  private askMany(asker: Running | undefined, depth = 0): Promise<unknown> {
    const lane = this.oneOf(LANES);
    const places = KEYS.filter(() => this.chance(0.5)).map((key) => ({ lane, key }));
    const manner = this.manner(depth);
    const compute = async (
      missing: readonly string[],
      ctx: Context & { setTags(key: string, tags: string[]): void; setTtl(key: string, ttl: 0): void },
    ): Promise<Map<string, unknown>> => {
      const asksFor: Place[] = [];
      const found = missing.map((key) => {
        const running = { ...this.runningOf({ lane, key }, manner, ctx), isBatch: true, asksFor };
        return this.begin({ lane, key }, running);
      });
      for (const key of missing) ctx.setTags(key, [tagOf({ lane, key })]);
      const values = await this.compute(found, manner, {
        tag: (tags) => missing.forEach((key) => ctx.setTags(key, tags)),
        refuse: () => missing.forEach((key) => ctx.setTtl(key, 0)),
      });
      return new Map(missing.map((key, index) => [key, values[index]]));
    };
    const keys = places.map(({ key }) => key);
    return this.called(asker, places, async () => {
      const answers = await this.cache.forLane(lane).getOrSetMany(keys, compute, manner.options);
      return places.map(({ key }) => answers.get(key));
    });
  }

  private put(asker: Running | undefined, depth: number): Promise<unknown> {
    const place = this.place();
    const manner = this.manner(depth);
    // Nobody joins it, so it is a place of its own.
    const alone = { lane: `put ${++this.now}`, key: place.key };
    return this.called(asker, [place], async () => {
      const invalidation = this.invalidated((at) => nameOf(at) === nameOf(place));
      let last: Made | undefined;
      // Its result is stored, or refused, at some time until its answer.
      const end = { place: nameOf(place), at: Infinity };
      const compute = async (ctx: Context & { setTags(tags: string[]): void }): Promise<unknown> => {
        const own = this.making(place);
        const running = this.runningOf(alone, manner, ctx);
        this.running.push(running);
        asker?.asksFor.push(alone);
        try {
          const { value, tags } = await this.steps([own], { ...manner, hardMs: 1_000 }, [], running);
          ctx.setTags(tags);
          own.rank = { from: ++this.now, to: Infinity };
          last = own;
          return value[0];
        } finally {
          this.ends.push(end);
          this.running = this.running.filter((other) => other !== running);
          asker?.asksFor.splice(asker.asksFor.indexOf(alone), 1);
        }
      };
      const answer = await this.lane(place).putComputed(place.key, compute, { tags: [tagOf(place)] });
      invalidation.resolvedAt = ++this.now;
      if (last !== undefined) last.rank = { from: last.rank.from, to: this.now };
      end.at = this.now;
      return answer;
    });
  }

  private get(): Promise<unknown> {
    const place = this.place();
    return this.called(undefined, [place], () => this.lane(place).get(place.key));
  }

  private async set(): Promise<void> {
    const place = this.place();
    const made = this.making(place);
    const invalidation = this.invalidated((at) => nameOf(at) === nameOf(place), made.startedAt);
    const value = this.chance(0.3) ? undefined : this.valueOf(made);
    await this.lane(place).set(place.key, value, { tags: [tagOf(place)] });
    invalidation.resolvedAt = ++this.now;
  }

  private async invalidate(): Promise<void> {
    const place = this.place();
    const tag = this.oneOf(TAGS);
    const lane = this.lane(place);
    const [matches, act] = this.oneOf<[Invalidation['matches'], () => Promise<unknown>]>([
      [(at) => nameOf(at) === nameOf(place), () => lane.invalidate(place.key)],
      [(_, tags) => tags.includes(tag), () => lane.invalidateByTag(tag)],
      [
        ({ key, lane: name }) => name === place.lane && key.startsWith('page:'),
        () => lane.invalidateByPattern('page:*'),
      ],
      [({ lane: name }) => name === place.lane, () => lane.clearAll()],
    ]);
    const invalidation = this.invalidated(matches);
    await act();
    invalidation.resolvedAt = ++this.now;
  }

  private invalidated(matches: Invalidation['matches'], calledAt = ++this.now): Invalidation {
    const invalidation = { calledAt, resolvedAt: Infinity, matches };
    this.invalidations.push(invalidation);
    return invalidation;
  }

  private release(): void {
    const [wait] = this.waiting.splice(Math.floor(this.random() * this.waiting.length), 1);
    wait?.resolve();
  }

  private leave(): void {
    this.leaving.splice(Math.floor(this.random() * this.leaving.length), 1)[0]?.abort(LEFT);
  }

  /** Counts a caller until it has its answer, and judges the answer. */
  private async called(
    asker: Running | undefined,
    places: readonly Place[],
    call: () => Promise<unknown>,
  ): Promise<unknown> {
    const askedAt = ++this.now;
    const name = `${places.map(nameOf).join('+')}@${askedAt}`;
    this.callers.add(name);
    const mayCircle = (): boolean => asker !== undefined && places.some((place) => this.waitsFor(place, asker));
    const wouldCircle = mayCircle();
    asker?.asksFor.push(...places);
    try {
      const answer = await call();
      const values = places.length === 1 && !Array.isArray(answer) ? [answer] : (answer as unknown[]);
      for (const [index, place] of places.entries()) this.judge(place, askedAt, values[index]);
      return answer;
    } catch (error) {
      // A caller may also have been moved to another computation.
      this.judgeError(error, { name, mayCircle: wouldCircle || mayCircle() });
      throw error;
    } finally {
      this.callers.delete(name);
      for (const place of places) asker?.asksFor.splice(asker.asksFor.indexOf(place), 1);
    }
  }

  private judge(place: Place, askedAt: number, value: unknown): void {
    if (value === undefined) return;
    this.tally.values++;
    const made = this.made[(value as { readonly id: number }).id];
    const who = `${nameOf(place)}@${askedAt}`;
    if (made === undefined || nameOf(made.place) !== nameOf(place)) return this.broken(`${who} got another's value`);
    const { startedAt, tags, rank } = made;
    const stale = this.invalidations.find(
      ({ calledAt, resolvedAt, matches }) => resolvedAt < askedAt && startedAt < calledAt && matches(place, tags),
    );
    if (stale !== undefined) this.broken(`${who} got what was started @${startedAt}, invalidated @${stale.calledAt}`);
    const newer = this.seen.find((one) => one.place === nameOf(place) && one.at < askedAt && one.rank > rank.to);
    if (newer !== undefined) this.broken(`${who} got what was made @${rank.to}, after @${newer.rank} was seen`);
    this.seen.push({ place: nameOf(place), at: ++this.now, rank: rank.from });
  }

  private judgeError(
    error: unknown,
    { name, mayCircle }: { readonly name: string; readonly mayCircle: boolean },
  ): void {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (error === SOURCE_FAILED || error === LEFT) this.tally.failures++;
    else if (code === 'COMPUTE_TIMEOUT') this.tally.timeouts++;
    else if (code !== 'REENTRANT') this.broken(`${name} got ${String(error)}`);
    else if (mayCircle || this.passedOn.has(error as object)) this.passOn(error as object);
    else this.broken(`${name} was refused, and waits in no circle`);
  }

  /** Errors of circles that a computation did not handle reach those who wait for it. */
  private readonly passedOn = new WeakSet<object>();

  private passOn(error: object): void {
    if (!this.passedOn.has(error)) this.tally.circles++;
    this.passedOn.add(error);
  }

  /** Whether computations of `place` ask for something that leads to `asker`. */
  private waitsFor(place: Place, asker: Running): boolean {
    const reached = new Set([nameOf(place)]);
    for (const name of reached) {
      for (const running of this.running) {
        if (nameOf(running.place) !== name) continue;
        if (running.asksFor === asker.asksFor) return true;
        for (const next of running.asksFor) reached.add(nameOf(next));
      }
    }
    return false;
  }

  private begin(place: Place, running: Running): { readonly made: Made; readonly running: Running } {
    this.checkAlone(running);
    this.running.push(running);
    return { made: this.making(place, running.startedAt), running };
  }

  private runningOf(place: Place, { isForced, isPast, hardMs }: Manner, { signal }: Context): Running {
    const since = this.clock.now();
    const dueAt = since + (hardMs ?? Infinity) - 2;
    const isAborted = (): boolean => signal.aborted;
    return { place, startedAt: ++this.now, isForced, isPast, isBatch: false, since, dueAt, isAborted, asksFor: [] };
  }

  /** One computation that callers can join, at most two that were not given up, and ten in all. */
  private checkAlone(next: Running): void {
    if (next.isPast) return;
    const name = nameOf(next.place);
    const others = this.running.filter(({ place, isPast }) => nameOf(place) === name && !isPast);
    // Of a batch, single keys may have been given up, which nothing shows.
    const mayBeLeft = ({ isBatch, since }: Running): boolean => isBatch && this.clock.now() > since;
    const going = others.filter((other) => !other.isAborted() && !mayBeLeft(other));
    if (going.length >= 2) this.broken(`a third computation of ${name}`);
    if (others.length >= 10) this.broken(`${others.length + 1} computations of ${name}`);
    for (const { startedAt, isForced, dueAt, place } of going) {
      if (isForced || next.isForced || this.clock.now() >= dueAt) continue;
      const isNamed = this.invalidations.some((one) => one.calledAt > startedAt && one.matches(place, [tagOf(place)]));
      const isOvertaken = this.ends.some((end) => end.place === name && end.at > startedAt);
      if (!isNamed && !isOvertaken) this.broken(`a second computation of ${name}`);
    }
  }

  private async compute(
    found: readonly { readonly made: Made; readonly running: Running }[],
    manner: Manner,
    ctx: { readonly tag: (tags: string[]) => void; readonly refuse: () => void },
  ): Promise<readonly unknown[]> {
    const [first] = found;
    const made = found.map((one) => one.made);
    try {
      const { value, tags } = await this.steps(made, manner, [], first?.running);
      if (tags.length > 0) ctx.tag(tags);
      if (this.chance(0.2)) ctx.refuse();
      return value;
    } finally {
      const own = new Set(found.map(({ running }) => running));
      this.running = this.running.filter((running) => !own.has(running));
      for (const { place } of made) this.ends.push({ place: nameOf(place), at: ++this.now });
    }
  }

  /** What a computation does until it has its value. */
  private async steps(
    made: readonly Made[],
    { depth, hardMs }: Manner,
    tags: string[],
    running: Running | undefined,
  ): Promise<{ readonly value: readonly unknown[]; readonly tags: string[] }> {
    const mayHang = hardMs !== undefined;
    for (let left = Math.floor(this.random() * 4); left > 0; left--) {
      const draw = this.random();
      if (draw < 0.35) await this.wait(this.waiting);
      else if (draw < 0.75 && depth < DEEPEST) await this.askWithin(running, depth + 1);
      else if (draw < 0.82) void this.invalidate();
      else if (draw < 0.86) tags.push('late');
      else if (draw < 0.9 && mayHang) await this.hang();
      else if (draw < 0.95) throw SOURCE_FAILED;
    }
    for (const one of made) one.tags.push(...tags);
    return { value: made.map((one) => this.valueOf(one)), tags };
  }

  private async askWithin(running: Running | undefined, depth: number): Promise<void> {
    this.tally.nested++;
    const asked = this.oneOf([
      () => this.ask(running, depth),
      () => this.ask(running, depth),
      () => this.askMany(running, depth),
      () => this.put(running, depth),
    ])();
    if (this.chance(0.3)) await asked;
    else await asked.catch(() => undefined);
  }

  private wait(waiting: Deferred<void>[]): Promise<void> {
    const deferred = new Deferred<void>();
    waiting.push(deferred);
    return deferred.promise;
  }

  private hang(): Promise<void> {
    this.tally.hung++;
    return this.wait(this.hanging);
  }

  private manner(depth: number): Manner {
    const isForced = this.chance(0.15);
    const isPast = this.chance(0.08);
    const hardMs = this.chance(0.4) ? this.oneOf([500, 1_000]) : undefined;
    const options: EntryOptions = {
      forceFresh: isForced,
      ...(hardMs === undefined ? {} : { hardTimeout: `${hardMs}ms` }),
      ...(this.chance(0.15) ? { ttl: '1s', grace: '1h', softTimeout: this.oneOf([0, '300ms']) } : {}),
      ...(isPast ? { ttl: 0 } : {}),
      ...(this.chance(0.1) ? { refreshAhead: 0.000_1 } : {}),
      ...(this.chance(0.1) ? { signal: this.signal() } : {}),
    };
    return { depth, isForced, isPast, hardMs: isPast ? undefined : hardMs, options };
  }

  private signal(): AbortSignal {
    const controller = new AbortController();
    this.leaving.push(controller);
    return controller.signal;
  }

  private making(place: Place, startedAt = ++this.now): Made {
    const made = { place, startedAt, tags: [tagOf(place)], rank: { from: startedAt, to: startedAt } };
    this.made.push(made);
    return made;
  }

  private valueOf(made: Made): object {
    return { id: this.made.indexOf(made) };
  }

  private place(): Place {
    return { lane: this.oneOf(LANES), key: this.oneOf(KEYS) };
  }

  private lane({ lane }: Place): CacheManager {
    return this.cache.forLane(lane);
  }

  private chance(share: number): boolean {
    return this.random() < share;
  }

  private oneOf<T>(choices: readonly T[]): T {
    const chosen = choices[Math.floor(this.random() * choices.length)];
    if (chosen === undefined) throw new Error('There is nothing to choose from.');
    return chosen;
  }

  private broken(what: string): void {
    this.violation ??= what;
  }
}
