import type { Scene } from './actions.js';
import type { SceneName } from './scenes.js';

/** What is left out of the library to see whether anybody notices. */
export interface Omission {
  readonly rule: string;
  readonly out: string;
  /** Where it is taken out; each text must occur exactly once in its file. */
  readonly edits: readonly Edit[];
  readonly scene: SceneName;
  /** A closer look at what matters to it. */
  readonly focus?: Partial<Scene>;
}

export interface Edit {
  readonly file: string;
  readonly text: string;
  readonly instead: string;
}

const log = 'lib/invalidation/invalidation-log.ts';
const laneLog = 'lib/invalidation/lane-log.ts';
const fence = 'lib/invalidation/fence.ts';
const flights = 'lib/cache/flights.ts';
const board = 'lib/cache/flight-board.ts';
const positions = 'lib/invalidation/positions.ts';
const arrival = 'lib/cache/arrival.ts';
const readPath = 'lib/cache/read-path.ts';
const invalidations = 'lib/cache/invalidations.ts';
const stale = 'lib/cache/stale-serving.ts';

/** The rules by which nothing that was invalidated comes back, each with one way to break it. */
export const OMISSIONS: readonly Omission[] = [
  {
    rule: 'one predicate',
    out: 'a fenced flight may land',
    file: log,
    text: '(fence.isShut || fence.removedAt > birth)',
    instead: 'fence.removedAt > birth',
    scene: 'one process',
  },
  {
    rule: 'one predicate',
    out: 'removals that were pending when the flight opened',
    file: log,
    text: '(fence.isShut || fence.removedAt > birth)',
    instead: 'fence.isShut',
    scene: 'one process',
  },
  {
    rule: 'one predicate',
    out: 'removals that are pending now',
    file: log,
    text: ' || lane.pendingRemovalOf(key) > birth',
    instead: '',
    scene: 'one process',
  },
  {
    rule: 'one predicate',
    out: 'patterns that were pending when the flight opened',
    file: log,
    text: ' && !(fence !== undefined && matchesAny(fence.patterns, candidate))',
    instead: '',
    scene: 'one process',
  },
  {
    rule: 'one predicate',
    out: 'patterns that are pending now, and recent ones',
    file: log,
    text: '!matchesAny(lane.patterns, candidate) && ',
    instead: '',
    scene: 'one process',
  },
  {
    rule: 'one predicate',
    out: 'patterns are remembered once committed',
    file: laneLog,
    text: 'this.recentPatterns = [...this.recentPatterns, pending];',
    instead: '',
    scene: 'one process',
  },
  {
    rule: 'one predicate',
    out: 'the position of the last clear',
    file: log,
    text: 'lane.clearAt > birth || ',
    instead: '',
    scene: 'one process',
  },
  {
    rule: 'one predicate',
    out: 'positions of tags',
    file: log,
    text: 'if (this.tagAt.isAfter(birth, tags)) return false;',
    instead: '',
    scene: 'one process',
  },
  {
    rule: 'one predicate',
    out: 'final tags count, not those known at the start',
    file: arrival,
    text: 'mayLand(space, fence, tags)',
    instead: 'mayLand(space, fence, flight.terms.tags)',
    scene: 'one process',
  },
  {
    rule: 'one predicate',
    out: 'a record is judged by its own birth',
    file: readPath,
    text: 'return parts.log.counts({ lane, key, tags, birth }, this.fence);',
    instead: 'return parts.log.counts({ lane, key, tags, birth: this.fence?.birth ?? birth }, this.fence);',
    scene: 'one process',
  },
  {
    rule: 'one predicate',
    out: 'disk queues keep the order of the program',
    file: 'test/support/model-tier.ts',
    text: 'this.queue.shift()',
    instead: 'this.queue.pop()',
    scene: 'one process',
  },
  {
    rule: 'hot path',
    out: 'a tag moves the stamp',
    file: log,
    text: `flatMap((record) => this.markTag(record));
    this.currentStamp++;`,
    instead: 'flatMap((record) => this.markTag(record));',
    scene: 'one process',
  },
  {
    rule: 'hot path',
    out: 'an expired tag moves the stamp',
    file: log,
    text: `flatMap((record) => this.markExpired(record, now));
    this.currentStamp++;`,
    instead: 'flatMap((record) => this.markExpired(record, now));',
    scene: 'one process',
  },
  {
    rule: 'joining',
    out: 'a fenced flight cannot be joined',
    file: board,
    text: 'if (flight === undefined || !flight.isJoinable) return undefined;',
    instead: 'if (flight === undefined) return undefined;',
    scene: 'one process',
  },
  {
    rule: 'late tags',
    out: 'who joined after the birth is moved',
    file: flights,
    text: 'const late = isCurrent ? [] : ',
    instead: 'const late = isCurrent || !isCurrent ? [] : ',
    scene: 'one process',
  },
  {
    rule: 'identity',
    out: 'a flight leaves the map only if it is the one there',
    file: board,
    text: 'if (this.joinable.get(key) === flight) this.leave(flight);',
    instead: 'this.leave(flight);',
    scene: 'one process',
  },
  {
    rule: 'identity',
    out: 'all open flights are fenced, not only the last',
    file: laneLog,
    text: 'return this.fences.get(key) ?? [];',
    instead: 'return (this.fences.get(key) ?? []).slice(-1);',
    scene: 'one process',
  },
  {
    rule: 'at most two',
    out: 'further callers queue',
    file: board,
    text: 'const COMPUTATIONS_PER_KEY = 2;',
    instead: 'const COMPUTATIONS_PER_KEY = 2_000;',
    scene: 'one process',
  },
  {
    rule: 'order of landings',
    out: 'a later flight that landed shuts the earlier ones',
    file: fence,
    text: 'this.overtaken = true;',
    instead: '',
    scene: 'forced computations',
  },
  {
    rule: 'floors',
    out: 'what is below the floor counts no more',
    file: 'lib/invalidation/tag-positions.ts',
    text: 'if (birth < this.lowest) return true;',
    instead: '',
    scene: 'one process',
  },
  {
    rule: 'floors',
    out: 'the floor survives a restart',
    file: log,
    text: 'this.tagAt.raiseTo(state.tagFloor);',
    instead: '',
    scene: 'killed and started again',
  },
  {
    rule: 'restart',
    out: 'the position goes on above the ceiling',
    file: positions,
    text: 'this.at = Math.max(this.at, journal.initial.ceiling);',
    instead: '',
    scene: 'killed and started again',
  },
  {
    rule: 'restart',
    out: 'positions of tags survive it',
    file: log,
    text: 'for (const [tag, position] of state.tagAt) this.tagAt.mark(tag, Math.max(position, this.tagAt.at(tag)));',
    instead: '',
    scene: 'killed and started again',
  },
  {
    rule: 'restart',
    out: 'expired tags survive it',
    file: log,
    text: 'this.expiredTags.takeUp(state);',
    instead: '',
    scene: 'killed and started again',
  },
  {
    rule: 'missed removal',
    out: 'a tier that missed one is not trusted',
    file: 'lib/cache/tier-gate.ts',
    text: 'this.voidBefore = Math.max(this.voidBefore, position);',
    instead: '',
    scene: 'tiers that break',
  },
  {
    rule: 'durable',
    out: 'a removal is awaited',
    file: invalidations,
    text: 'results.push(await act(gate));',
    instead: 'void act(gate).catch(() => undefined);',
    scene: 'killed and started again',
  },
  {
    rule: 'durable',
    out: 'a tag is awaited',
    file: invalidations,
    text: 'Promise.allSettled([this.noteMissed(), stored])',
    instead: 'Promise.allSettled([this.noteMissed(), stored.catch(() => undefined) && undefined])',
    scene: 'killed and started again',
  },
  {
    rule: 'durable',
    out: 'what could not be told is emptied',
    file: invalidations,
    text: 'if (untold !== undefined) await this.voidPersistence(untold.cause);',
    instead: '',
    scene: 'tiers that break',
  },
  {
    rule: 'not the owner',
    out: 'word is left for the next one',
    file: invalidations,
    text: 'return this.parts.persistence?.noteMissed();',
    instead: 'return undefined;',
    scene: 'two processes, one disk',
  },
  {
    rule: 'take-over',
    out: 'open flights are shut',
    file: log,
    text: `    this.shutAll();
    this.takeUp(journal);`,
    instead: '    this.takeUp(journal);',
    scene: 'two processes, one disk',
  },
  {
    rule: 'take-over',
    out: 'the position is never set back',
    file: positions,
    text: 'this.at = Math.max(this.at, journal.initial.ceiling);',
    instead: 'this.at = journal.initial.ceiling;',
    scene: 'two processes, one disk',
  },
  {
    rule: 'expire',
    out: 'an expired flight cannot be joined',
    file: fence,
    text: 'return !this.isShut && this.expiry === undefined;',
    instead: 'return !this.isShut;',
    scene: 'one process',
  },
  {
    rule: 'expire',
    out: 'what expired on its way lands expired',
    file: arrival,
    text: 'else land(space, { ...landing, expiredAt });',
    instead: 'else land(space, { ...landing, expiredAt: undefined });',
    scene: 'one process',
  },
  {
    rule: 'expire',
    out: 'an expiry that is not in place below counts already',
    file: log,
    text: 'if (expiring !== undefined && expiring.position > birth) return expiring.at;',
    instead: '',
    scene: 'one process',
  },
  {
    rule: 'expire',
    out: 'what was said meanwhile wins over the rewritten record',
    file: invalidations,
    text: 'if (guard.isShut) return found !== undefined;',
    instead: '',
    scene: 'old values, timeouts, renewals',
  },
  {
    rule: 'grace',
    out: 'a stale copy is judged again when it is served',
    file: stale,
    text: 'if (!parts.log.counts(candidate, fence)) return false;',
    instead: '',
    scene: 'old values, timeouts, renewals',
  },
  {
    rule: 'set',
    out: 'older values go first',
    file: invalidations,
    text: `space.memory.delete(key);
    const below = this.below(records, (gate) => gate.remove(lane, key), 'local');`,
    instead: `space.memory.delete(key);
    const below = this.below(records, () => Promise.resolve(false), 'local');`,
    scene: 'one process',
  },
  {
    rule: 'set',
    out: 'a put computation is judged by its start',
    file: 'lib/cache/computed-put.ts',
    text: 'mayLand(space, fence, tags) ? said : FENCED',
    instead: 'said',
    scene: 'one process',
  },
  {
    rule: 'force',
    out: 'it joins forced flights alone',
    file: board,
    text: "if (purpose !== 'forced' || flight.purpose === 'forced') return flight;",
    instead: 'if (flight !== undefined) return flight;',
    scene: 'forced computations',
  },
  {
    rule: 'renewals',
    out: 'they are fenced as others are',
    file: arrival,
    text: 'const counts = mayLand(space, fence, tags);',
    instead: "const counts = flight.purpose === 'renewal' || mayLand(space, fence, tags);",
    scene: 'old values, timeouts, renewals',
  },
  {
    rule: 'time',
    out: 'a promoted entry keeps the life that remains',
    file: readPath,
    text: 'this.found = { tier: gate.name, record, payload, expiresAt };',
    instead: 'this.found = { tier: gate.name, record, payload, expiresAt: now + record.expiresAt - record.landedAt };',
    scene: 'old values, timeouts, renewals',
  },
  {
    rule: 'time',
    out: 'a clock set back lengthens nothing',
    file: 'lib/clock/life-clock.ts',
    text: 'const step = wallStep > steadyStep ? wallStep : steadyStep;',
    instead: 'const step = wallStep;',
    scene: 'old values, timeouts, renewals',
  },
];
