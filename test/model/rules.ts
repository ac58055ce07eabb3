import type { Scene } from './actions.js';
import type { Edit, Omission } from './omission.js';
import type { SceneName } from './scenes.js';

const log = 'lib/invalidation/invalidation-log.ts';
const laneLog = 'lib/invalidation/lane-log.ts';
const fence = 'lib/invalidation/lane-log.ts';
const flights = 'lib/cache/in-flight/in-flight.ts';
const board = 'lib/cache/in-flight/in-flight.ts';
const arrival = 'lib/cache/in-flight/in-flight.ts';
const readPath = 'lib/cache/tier-lookup.ts';
const writePath = 'lib/cache/write.ts';
const invalidations = 'lib/cache/invalidate.ts';
const stale = 'lib/cache/in-flight/waiters.ts';

const one = 'one process';
const restarts = 'killed and started again';
const aging = 'old values, timeouts, renewals';
const breaking = 'tiers that break';
const two = 'two processes, one disk';
const forced = 'forced computations';

const key: Partial<Scene> = { keys: ['c'], says: ['key'] };
/** `c` carries no tag: most of what is said leaves it alone. */
const rarely: NonNullable<Scene['says']> = ['key', 'key', 'tag', 'tag', 'tag'];
const slowKey: Partial<Scene> = { ...key, reads: 'later' };
const tag: Partial<Scene> = { keys: ['a', 'b'], says: ['tag'] };
const broken: Partial<Scene> = { ...key, freshness: false, plain: true, restarts: false, faults: 0.06 };
const expiry: Partial<Scene> = { keys: ['c'], says: ['expire'] };

const omit = (
  rule: string,
  out: string,
  scene: SceneName,
  focus: Partial<Scene>,
  ...edits: Edit[]
): Omission<Scene, SceneName> => ({
  ...{ rule, out, scene, focus, edits },
});

/** The rules by which nothing that was invalidated comes back, each with one way to break it. */
export const OMISSIONS: readonly Omission<Scene, SceneName>[] = [
  omit('1 one predicate', 'a fenced flight lands nothing', one, key, [
    log,
    '(guard.isInvalidated || guard.removedAt > birth)',
    'guard.removedAt > birth',
  ]),
  omit('1 one predicate', 'removals that were pending when the flight opened', one, slowKey, [
    log,
    '(guard.isInvalidated || guard.removedAt > birth)',
    'guard.isInvalidated',
  ]),
  omit('1 one predicate', 'removals that are pending now', one, key, [
    log,
    ' || lane.pendingRemovalOf(key) > birth',
    '',
  ]),
  omit(
    '1 one predicate',
    'patterns that were pending when the flight opened',
    one,
    { keys: ['c'], says: ['pattern'], reads: 'later' },
    [
      log,
      'return guard === undefined || guard.patterns.length === 0 || !matchesAny(guard.patterns, candidate);',
      'return true;',
    ],
  ),
  omit('1 one predicate', 'patterns that are pending now, and recent ones', one, { says: ['pattern'] }, [
    log,
    'if (lane.patterns.length > 0 && matchesAny(lane.patterns, candidate)) return false;',
    '',
  ]),
  omit('1 one predicate', 'patterns are remembered once committed', one, { keys: ['b'], says: ['pattern'] }, [
    laneLog,
    'this.recentPatterns = [...this.recentPatterns, pending];',
    '',
  ]),
  omit('1 one predicate', 'the position of the last clear', one, { says: ['all'] }, [
    log,
    'lane.clearAt > birth || ',
    '',
  ]),
  omit('1 one predicate', 'positions of tags', one, tag, [
    log,
    'if (tags.length > 0 && this.tagAt.isAfter(birth, tags)) return false;',
    '',
  ]),
  omit('1 one predicate', 'final tags count, not those known at the start', one, tag, [
    arrival,
    'const counts = shared.log.counts(judged, guard);',
    'const counts = shared.log.counts({ ...judged, tags: call.tags }, guard);',
  ]),
  omit('1 one predicate', 'a record is judged by its own birth', one, tag, [
    readPath,
    'const candidate = { lane, key, tags, birth };',
    'const candidate = { lane, key, tags, birth: guard?.birth ?? birth };',
  ]),
  omit(
    '1 one predicate',
    'what was found below is judged again in the step in which it is served',
    one,
    { keys: ['c'], says: rarely, reads: 'later', evicts: 0.08, hurries: 0.4 },
    [
      flights,
      '} else if (searched.found !== undefined && !searched.stillCounts) {',
      '} else if (searched.found === null) {',
    ],
    ['lib/cache/read.ts', 'if (found === undefined || done.stillCounts) {', 'if (found !== null) {'],
  ),
  omit('1 one predicate', 'disk queues keep the order of the program', one, {}, [
    'test/support/model-tier.ts',
    'this.queue.shift()',
    'this.queue.pop()',
  ]),
  omit('2 hot path', 'a tag moves the stamp', one, tag, [
    log,
    `flatMap((record) => this.markTag(record));
    this.stamp++;`,
    'flatMap((record) => this.markTag(record));',
  ]),
  omit('2 hot path', 'an expired tag moves the stamp', one, { keys: ['a', 'b'], says: ['expire-tag'] }, [
    log,
    `flatMap((record) => this.markExpired(record, now));
    this.stamp++;`,
    'flatMap((record) => this.markExpired(record, now));',
  ]),
  omit(
    '3 joining',
    'who comes after an invalidation neither joins the flight nor gets its value',
    one,
    key,
    [
      board,
      'if (flight === undefined || !flight.isJoinable) return undefined;',
      'if (flight === undefined) return undefined;',
    ],
    [flights, 'const late = isCurrent ? [] : ', 'const late = isCurrent || !isCurrent ? [] : '],
  ),
  omit('3 late tags', 'who joined after the birth is moved', one, tag, [
    flights,
    'const late = isCurrent ? [] : ',
    'const late = isCurrent || !isCurrent ? [] : ',
  ]),
  omit('4 identity', 'a flight leaves the map only if it is the one there', one, key, [
    board,
    'if (this.joinable.get(key) !== flight) return;',
    '',
  ]),
  omit('4 identity', 'all open flights are fenced, not only the last', one, { ...slowKey, forces: 0.4 }, [
    laneLog,
    'return this.guards.get(key) ?? [];',
    'return (this.guards.get(key) ?? []).slice(-1);',
  ]),
  omit('5 at most two', 'further callers queue', one, key, [
    board,
    'const COMPUTATIONS_PER_KEY = 2;',
    'const COMPUTATIONS_PER_KEY = 2_000;',
  ]),
  omit(
    '6 order of landings',
    'an earlier flight lands nothing over a later one',
    forced,
    { keys: ['c'] },
    [log, 'guard.number < number)) guard.invalidate();', 'guard.number < number)) void guard;'],
    [writePath, '  if (!mayReplace(context, key, params)) return;', ''],
  ),
  omit('7 floors', 'what is below the floor counts no more', one, tag, [
    'lib/invalidation/tag-index.ts',
    'if (birth < this.lowest) return true;',
    '',
  ]),
  omit('7 floors', 'the floor survives a restart', restarts, { ...tag, plain: true }, [
    log,
    'this.tagAt.raiseTo(state.tagFloor);',
    '',
  ]),
  omit('8 restart', 'the position goes on above the ceiling', restarts, { ...tag, plain: true }, [
    'lib/invalidation/invalidation-log.ts',
    'this.at = Math.max(this.at, journal.initial.ceiling);',
    '',
  ]),
  omit('8 restart', 'positions of tags survive it', restarts, { ...tag, plain: true }, [
    log,
    'for (const [tag, position] of state.tagAt) this.tagAt.mark(tag, Math.max(position, this.tagAt.at(tag)));',
    '',
  ]),
  omit('8 restart', 'expired tags survive it', restarts, { keys: ['a', 'b'], says: ['expire-tag'], plain: true }, [
    log,
    'this.expiredTags.takeUp(state);',
    '',
  ]),
  omit('9 missed removal', 'a tier that missed one is not trusted', breaking, broken, [
    'lib/cache/guarded-tier.ts',
    'this.voidBefore = Math.max(this.voidBefore, position);',
    '',
  ]),
  omit('10 durable', 'a removal is awaited', restarts, key, [
    invalidations,
    'results.push(await act(gate));',
    'void act(gate).catch(() => undefined);',
  ]),
  omit('10 durable', 'a tag is awaited', restarts, tag, [
    invalidations,
    'Promise.allSettled([this.noteMissed(), stored])',
    'Promise.allSettled([this.noteMissed(), stored.catch(() => undefined) && undefined])',
  ]),
  omit('10 durable', 'what could not be told is emptied', breaking, broken, [
    invalidations,
    'if (untold !== undefined) await this.voidPersistence(untold.cause);',
    '',
  ]),
  omit('10 durable', 'who cannot be told so is told that it failed', breaking, broken, [
    invalidations,
    'throw this.notDurable(error ?? cause);',
    'void error;',
  ]),
  omit('11 not the owner', 'word is left for the next one', two, { keys: ['c'], says: ['key', 'tag'] }, [
    invalidations,
    'return this.shared.persistence?.noteMissed();',
    'return undefined;',
  ]),
  omit('11 take-over', 'open flights are shut', two, { keys: ['c'], says: rarely, changes: 0.2 }, [
    log,
    '    this.invalidateAll();',
    '',
  ]),
  omit(
    '11 take-over',
    'the position is not set back while memory is kept',
    two,
    { keys: ['b'], says: ['tag', 'key'], changes: 0.1 },
    [
      'lib/invalidation/invalidation-log.ts',
      'this.at = Math.max(this.at, journal.initial.ceiling);',
      'this.at = journal.initial.ceiling;',
    ],
    ['test/model/model-process.ts', 'this.app.memory.clearAll();', ''],
  ),
  omit(
    '12 expire',
    'who comes after an expiry neither joins the flight nor gets its value',
    one,
    expiry,
    [fence, "return this.state === 'open' && this.expiredAt === undefined;", "return this.state === 'open';"],
    [arrival, 'isCurrent: counts && expiredAt === undefined', 'isCurrent: counts'],
  ),
  omit('12 expire', 'what expired on its way lands expired', one, expiry, [
    arrival,
    'else store(context, candidate, { birth: guard.birth, flight: guard.number, call, expiredAt });',
    'else store(context, candidate, { birth: guard.birth, flight: guard.number, call, expiredAt: undefined });',
  ]),
  omit('12 expire', 'tags that expired', one, { keys: ['a', 'b'], says: ['expire-tag'] }, [
    log,
    'return candidate.tags.length === 0 ? undefined : this.expiredTags.expiredAt(candidate.birth, candidate.tags);',
    'return undefined;',
  ]),
  omit('12 expire', 'an expiry that is not in place below counts already', one, { ...expiry, reads: 'later' }, [
    log,
    'if (expiring !== undefined && expiring.position > birth) return expiring.at;',
    '',
  ]),
  omit(
    '12 expire',
    'what was said meanwhile wins over the rewritten record',
    aging,
    { keys: ['c'], says: ['expire', 'key'], reads: 'later', restarts: false, plain: true },
    [invalidations, 'guard.isInvalidated ? undefined : this', 'this'],
    [invalidations, ' || !this.shared.log.counts({ ...record, lane }, guard)', ''],
  ),
  omit('12 grace', 'a stale copy is judged again when it is served', aging, { ...tag, plain: true }, [
    stale,
    'if (!shared.log.counts(candidate, guard)) return false;',
    '',
  ]),
  omit('13 set', 'older values go first', one, { keys: ['c'], says: ['key'], sets: 0.15 }, [
    invalidations,
    `context.memory.delete(key);
    const below = this.below(records, (gate) => gate.remove(lane, key), 'local');`,
    `context.memory.delete(key);
    const below = this.below(records, () => Promise.resolve(false), 'local');`,
  ]),
  omit('13 set', 'a put computation is judged by its start', one, { ...key, puts: 0.15 }, [
    'lib/cache/set.ts',
    'shared.log.counts(judged, guard) ? refusedResult : FENCED',
    'refusedResult',
  ]),
  omit('14 force', 'it joins forced flights alone', one, { keys: ['c'], says: [], forces: 0.3, reads: 'later' }, [
    board,
    "if (purpose !== 'forced' || flight.purpose === 'forced') return flight;",
    'if (flight !== undefined) return flight;',
  ]),
  omit('15 renewals', 'they are fenced as others are', aging, { ...key, renews: true, restarts: false, plain: true }, [
    arrival,
    'const counts = shared.log.counts(judged, guard);',
    "const counts = flight.purpose === 'renewal' || shared.log.counts(judged, guard);",
  ]),
  omit('time', 'a promoted entry keeps the life that remains', aging, { keys: ['c'], says: [], plain: true }, [
    readPath,
    'this.found = verdict.found;',
    'this.found = { ...verdict.found, expiresAt: shared.life.now() + verdict.found.record.expiresAt - verdict.found.record.storedAt };',
  ]),
  omit('time', 'a clock set back lengthens nothing', aging, {}, [
    'lib/clock/clock.ts',
    'const step = wallStep > steadyStep ? wallStep : steadyStep;',
    'const step = wallStep;',
  ]),
];
