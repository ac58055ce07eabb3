import type { Scene } from './actions.js';
import { type Omission, type OmissionMaker, omissionsOf } from '../harness/model.js';
import type { SceneName } from './scenes.js';

const log = 'lib/invalidation/invalidation-log.ts';
const laneLog = 'lib/invalidation/lane-log.ts';
const inFlight = 'lib/cache/in-flight/in-flight.ts';
const waiters = 'lib/cache/in-flight/flight.ts';
const lookup = 'lib/cache/tier-lookup.ts';
const write = 'lib/cache/write.ts';
const invalidations = 'lib/cache/invalidate.ts';

const one = 'one process';
const restarts = 'killed and started again';
const aging = 'old values, timeouts, renewals';
const breaking = 'tiers that break';
const two = 'two processes, one disk';
const forced = 'forced computations';

const key: Partial<Scene> = { keys: ['c'], kinds: ['key'] };
/** `c` carries no tag: most of what is said leaves it alone. */
const rarely: NonNullable<Scene['kinds']> = ['key', 'key', 'tag', 'tag', 'tag'];
const slowKey: Partial<Scene> = { ...key, reads: 'later' };
const tag: Partial<Scene> = { keys: ['a', 'b'], kinds: ['tag'] };
const broken: Partial<Scene> = { ...key, freshness: false, plain: true, restarts: false, faults: 0.06 };
const expiry: Partial<Scene> = { keys: ['c'], kinds: ['expire'] };

const omit: OmissionMaker<Scene, SceneName> = omissionsOf();

/** The rules by which nothing that was invalidated comes back, each with one way to break it. */
export const OMISSIONS: readonly Omission<Scene>[] = [
  omit('1 one predicate', 'an invalidated flight stores nothing', one, key, [
    log,
    '(guard.isInvalidated || guard.removedAt > birth)',
    'guard.removedAt > birth',
  ]),
  omit('1 one predicate', 'removals that were pending when the flight opened apply', one, slowKey, [
    log,
    '(guard.isInvalidated || guard.removedAt > birth)',
    'guard.isInvalidated',
  ]),
  omit('1 one predicate', 'pending removals apply', one, key, [log, ' || lane.pendingRemovalOf(key) > birth', '']),
  omit(
    '1 one predicate',
    'patterns that were pending when the flight opened apply',
    one,
    { keys: ['c'], kinds: ['pattern'], reads: 'later' },
    [
      log,
      'return guard === undefined || guard.patterns.length === 0 || !matchesAny(guard.patterns, candidate);',
      'return true;',
    ],
  ),
  omit('1 one predicate', 'pending and recent patterns apply', one, { kinds: ['pattern'] }, [
    log,
    'if (lane.patterns.length > 0 && matchesAny(lane.patterns, candidate)) return false;',
    '',
  ]),
  omit('1 one predicate', 'committed patterns are kept', one, { keys: ['b'], kinds: ['pattern'] }, [
    laneLog,
    'this.recentPatterns = [...this.recentPatterns, pending];',
    '',
  ]),
  omit('1 one predicate', 'the last clear applies', one, { kinds: ['all'] }, [log, 'lane.clearAt > birth || ', '']),
  omit('1 one predicate', 'tag records apply', one, tag, [
    log,
    'if (tags.length > 0 && this.tagAt.isAfter(birth, tags)) return false;',
    '',
  ]),
  omit('1 one predicate', 'the tags at the end of a computation count', one, tag, [
    inFlight,
    'const counts = shared.log.counts(judged, guard);',
    'const counts = shared.log.counts({ ...judged, tags: call.tags }, guard);',
  ]),
  omit('1 one predicate', 'a record is judged by its own birth', one, tag, [
    lookup,
    'const candidate = { lane, key, tags, birth };',
    'const candidate = { lane, key, tags, birth: guard?.birth ?? birth };',
  ]),
  omit(
    '1 one predicate',
    'an entry from a lower tier is judged again when it is served',
    one,
    { keys: ['c'], kinds: rarely, reads: 'later', evicts: 0.08, hurries: 0.4 },
    [
      lookup,
      'if (this.found === undefined || this.stillCounts(this.found)) return done(this.found);',
      'return done(this.found);',
    ],
  ),
  omit('1 one predicate', 'disk queues keep the order of the calls', one, {}, [
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
  omit('2 hot path', 'an expired tag moves the stamp', one, { keys: ['a', 'b'], kinds: ['expire-tag'] }, [
    log,
    `flatMap((record) => this.markExpired(record, now));
    this.stamp++;`,
    'flatMap((record) => this.markExpired(record, now));',
  ]),
  omit(
    '3 joining',
    'a caller after an invalidation does not join the flight',
    one,
    key,
    [
      inFlight,
      'if (flight === undefined || !flight.isJoinable) return undefined;',
      'if (flight === undefined) return undefined;',
    ],
    [inFlight, 'const late = isCurrent ? [] : ', 'const late = isCurrent || !isCurrent ? [] : '],
  ),
  omit('3 late tags', 'a caller that joined after a late tag was invalidated moves on', one, tag, [
    inFlight,
    'const late = isCurrent ? [] : ',
    'const late = isCurrent || !isCurrent ? [] : ',
  ]),
  omit('4 identity', 'a flight removes only itself from the map', one, key, [
    inFlight,
    'if (this.joinable.get(key) !== flight) return;',
    '',
  ]),
  omit('4 identity', 'all open flights are invalidated, not only the last', one, { ...slowKey, forces: 0.4 }, [
    laneLog,
    'return this.guards.get(key) ?? NO_GUARDS;',
    'return (this.guards.get(key) ?? NO_GUARDS).slice(-1);',
  ]),
  omit('5 at most two', 'further callers queue', one, key, [
    inFlight,
    'const COMPUTATIONS_PER_KEY = 2;',
    'const COMPUTATIONS_PER_KEY = 2_000;',
  ]),
  omit(
    '6 order of stores',
    'an earlier flight does not overwrite a later one',
    forced,
    { keys: ['c'] },
    [log, 'guard.number < number)) guard.supersede();', 'guard.number < number)) void guard;'],
    [write, '  if (!mayReplace(context, key, params)) return;', ''],
  ),
  omit('7 floors', 'an entry below the floor does not count', one, tag, [
    'lib/invalidation/invalidation-log.ts',
    'if (birth < this.lowest) return true;',
    '',
  ]),
  omit('7 floors', 'the floor survives a restart', restarts, { ...tag, plain: true }, [
    log,
    'this.tagAt.raiseTo(state.tagFloor);',
    '',
  ]),
  omit('8 restart', 'the position continues above the ceiling', restarts, { ...tag, plain: true }, [
    'lib/invalidation/invalidation-log.ts',
    'this.at = Math.max(this.at, journal.initial.ceiling);',
    '',
  ]),
  omit('8 restart', 'tag records survive a restart', restarts, { ...tag, plain: true }, [
    log,
    'for (const [tag, position] of state.tagAt) this.tagAt.mark(tag, Math.max(position, this.tagAt.at(tag)));',
    '',
  ]),
  omit(
    '8 restart',
    'expired tags survive a restart',
    restarts,
    { keys: ['a', 'b'], kinds: ['expire-tag'], plain: true },
    [log, 'this.expiredTags.takeUp(state);', ''],
  ),
  omit('9 missed removal', 'a tier that missed a removal is not trusted', breaking, broken, [
    'lib/cache/guarded-tier.ts',
    'this.voidBefore = Math.max(this.voidBefore, position);',
    '',
  ]),
  omit('10 durable', 'a removal is awaited', restarts, key, [
    invalidations,
    'results.push(await act(tier));',
    'void act(tier).catch(() => undefined);',
  ]),
  omit('10 durable', 'a tag is awaited', restarts, tag, [
    invalidations,
    'Promise.allSettled([note, stored])',
    'Promise.allSettled([note, stored.catch(() => undefined) && undefined])',
  ]),
  omit('10 durable', 'a tier that could not be reached is emptied', breaking, broken, [
    invalidations,
    "if (tier.name === 'l3') tierFailure = await this.emptyPersistence(error).then(() => undefined, failureOf);",
    'void failureOf;',
  ]),
  omit('10 durable', 'an invalidation that is not durable rejects', breaking, broken, [
    invalidations,
    'throw this.notDurable(error ?? cause);',
    'void error;',
  ]),
  omit('11 not the owner', 'a note is left for the next owner', two, { keys: ['c'], kinds: ['key', 'tag'] }, [
    invalidations,
    'return this.shared.persistence?.noteMissed();',
    'return undefined;',
  ]),
  omit('11 take-over', 'open flights are invalidated', two, { keys: ['c'], kinds: rarely, changes: 0.2 }, [
    log,
    '    this.invalidateAll();',
    '',
  ]),
  omit(
    '11 take-over',
    'the position does not go back while memory is kept',
    two,
    { keys: ['b'], kinds: ['tag', 'key'], changes: 0.1 },
    [
      'lib/invalidation/invalidation-log.ts',
      'this.at = Math.max(this.at, journal.initial.ceiling);',
      'this.at = journal.initial.ceiling;',
    ],
    ['test/model/process-log/process.ts', 'this.app.memory.clearAll();', ''],
  ),
  omit(
    '12 expire',
    'a caller after an expiry does not join the flight',
    one,
    expiry,
    [laneLog, 'return !this.isInvalidated && this.expiredAt === undefined;', 'return !this.isInvalidated;'],
    [inFlight, 'isCurrent: counts && expiredAt === undefined', 'isCurrent: counts'],
  ),
  omit('12 expire', 'a value that expired during its computation is stored expired', one, expiry, [
    inFlight,
    'store(context, candidate, { birth: guard.birth, flight: guard.number, call, expiredAt, origin, turn });',
    'store(context, candidate, { birth: guard.birth, flight: guard.number, call, expiredAt: undefined, origin, turn });',
  ]),
  omit('12 expire', 'expired tags apply', one, { keys: ['a', 'b'], kinds: ['expire-tag'] }, [
    log,
    'return candidate.tags.length === 0 ? undefined : this.expiredTags.expiredAt(candidate.birth, candidate.tags);',
    'return undefined;',
  ]),
  omit('12 expire', 'an expiry counts before it is on disk', one, { ...expiry, reads: 'later' }, [
    log,
    'if (expiring !== undefined && expiring.position > birth) return expiring.at;',
    '',
  ]),
  omit(
    '12 expire',
    'an invalidation during a rewrite wins over the rewritten record',
    aging,
    { keys: ['c'], kinds: ['expire', 'key'], reads: 'later', restarts: false, plain: true },
    [invalidations, 'guard.isInvalidated ? undefined : this', 'this'],
    [invalidations, ' || !this.shared.log.counts({ ...record, lane }, guard)', ''],
  ),
  omit('12 grace', 'a stale copy is judged again when it is served', aging, { ...tag, plain: true }, [
    waiters,
    'const expiresAt = expiryIfValid(this.context, stale, guard);',
    'const expiresAt = expiryIfValid(this.context, stale, guard) ?? stale.expiresAt;',
  ]),
  omit(
    '13 set',
    'older values are removed before the new one is written',
    one,
    { keys: ['c'], kinds: ['key'], sets: 0.15 },
    [
      invalidations,
      "this.below(records, (tier) => tier.removeKeys(lane, keys), 'local');",
      "this.below(records, () => Promise.resolve(false), 'local');",
    ],
  ),
  omit('13 set', 'a put value is judged by the start of its computation', one, { ...key, puts: 0.15 }, [
    'lib/cache/set.ts',
    'shared.log.counts(judged, guard) ? refusedResult : INVALIDATED',
    'refusedResult',
  ]),
  omit(
    '14 force',
    'a forced call joins forced flights only',
    one,
    { keys: ['c'], kinds: [], forces: 0.3, reads: 'later' },
    [
      inFlight,
      "if (purpose !== 'forced' || flight.purpose === 'forced') return flight;",
      'if (flight !== undefined) return flight;',
    ],
  ),
  omit(
    '15 renewals',
    'refreshes are guarded like other computations',
    aging,
    { ...key, renews: true, restarts: false, plain: true },
    [
      inFlight,
      'const counts = shared.log.counts(judged, guard);',
      "const counts = flight.purpose === 'refresh' || shared.log.counts(judged, guard);",
    ],
  ),
  omit('time', 'a promoted entry keeps its remaining ttl', aging, { keys: ['c'], kinds: [], plain: true }, [
    lookup,
    'this.found = verdict.found;',
    'this.found = { ...verdict.found, expiresAt: shared.life.now() + verdict.found.record.expiresAt - verdict.found.record.storedAt };',
  ]),
  omit('time', 'a clock that is set back lengthens no ttl', aging, {}, [
    'lib/clock/clock.ts',
    'else this.advance(steadyStep, wall, steady);',
    'else this.advance(wall - this.wall, wall, steady);',
  ]),
];
