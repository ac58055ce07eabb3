import type { Scene } from './actions.js';
import { type Edit, type Omission, type OmissionMaker, omissionsOf } from '../harness/model.js';
import type { SceneName } from './scenes.js';
import { SCRIPTS } from './scripts.js';

const scripts = 'lib/redis/shared-log/scripts.ts';
const subscriber = 'lib/redis/shared-log/subscriber.ts';
const outgoingQueue = 'lib/redis/shared-log/outgoing-queue.ts';
const publisher = 'lib/redis/shared-log/publisher.ts';
const applied = 'lib/redis/shared-log/applied-records.ts';
const lookups = 'lib/redis/tier/lookups.ts';
const remote = 'lib/cache/invalidate.ts';
const read = 'lib/cache/read.ts';

const spread = 'lib/redis/tier/spread-entries.ts';

const nodes = 'a cluster of three nodes';
const two = 'two instances';
const three = 'three, badly connected';
const disks = 'disks and restarts';
const forgetful = 'a server that loses its memory';
const letting = 'a server that lets go';

const key: Partial<Scene> = { keys: ['c'], kinds: ['key'] };
const tag: Partial<Scene> = { keys: ['a', 'b'], kinds: ['tag'] };
const clear: Partial<Scene> = { keys: ['c'], kinds: ['all'] };
const pattern: Partial<Scene> = { keys: ['a', 'b'], kinds: ['pattern'] };
const slow: Partial<Scene> = { weathers: 0.1, weather: ['slow', 'slow', 'fast'] };
const cuts: Partial<Scene> = { weathers: 0.15, weather: ['cut', 'cut', 'slow', 'fast'] };
const away: Partial<Scene> = { weathers: 0.12, weather: ['down', 'down', 'fast', 'fast'] };
const trims: Partial<Scene> = { faults: 0.1, fault: ['trim'], ...slow };
const kills: Partial<Scene> = { kills: 0.12, weather: ['fast', 'slow'] };
const failsOver: Partial<Scene> = { faults: 0.1, fault: ['copy', 'fail-over'] };

const omit: OmissionMaker<Scene, SceneName> = omissionsOf(SCRIPTS);

const fewPositions: Edit = [publisher, 'POSITIONS_ON_SERVER = 100_000', 'POSITIONS_ON_SERVER = 2'];
const fewPatterns: Edit = [applied, 'PATTERNS_ON_SERVER = 256', 'PATTERNS_ON_SERVER = 2'];
const HALF = "if redis.call('HGET', KEYS[1], 'gen') ~= ARGV[1] or not whole(ARGV[1]) then return 'GENERATION' end";
const JUDGES = 'local found = { patternsAfter(ARGV[2]) }\nlocal entries';
const JUDGED = 'if isSound and at <= birth then';

/** The rules by which no instance serves what another has invalidated, each with one way to break it. */
export const OMISSIONS: readonly Omission<Scene>[] = [
  omit('1 append in one step', 'a record removes the entry', two, key, [
    scripts,
    "if KEYS[6] then gone = redis.call('DEL', KEYS[6]) end",
    '',
  ]),
  omit('1 append in one step', 'a late set stores no value', three, { ...key, ...slow }, [
    scripts,
    `newestAboutKey(lane, member, ARGV[10]) <= tonumber(ARGV[12])
  and #patternsAfter(ARGV[13]) == 0`,
    'true',
  ]),
  omit(
    '1 append in one step',
    'a value is sent with the first attempt only',
    forgetful,
    { ...key, ...cuts, sets: 0.15, faults: 0.1, fault: ['empty', 'fail-over', 'copy'], disks: [] },
    [publisher, '    outgoing.entry = undefined;\n', ''],
    [publisher, 'for (const record of some) record.entry = undefined;', ''],
  ),
  omit('1 append in one step', 'a call resolves when its record was echoed', two, { ...tag, ...slow }, [
    publisher,
    'if (sequence <= this.reached) echoed();',
    'if (sequence > 0) echoed();',
  ]),
  omit('2 follow', 'records of others are applied', two, key, [
    subscriber,
    'if (by === log.by || !log.outgoing.ofHost.onServer(record, id, follow)) cache.pass();',
    'if (by !== undefined) cache.pass();',
  ]),
  omit('2 follow', 'every record has the next number', letting, { ...key, ...trims }, [
    subscriber,
    ' || sequence !== before.sequence + 1',
    '',
  ]),
  omit('2 follow', 'a gap in the records is noticed', letting, { ...key, faults: 0.2, fault: ['trim'], ...slow }, [
    subscriber,
    'if (wasWhole && records.length === 0 && this.reached < cursor.sequence) void this.drop(cursor);',
    'if (wasWhole && records.length === 0 && this.reached < cursor.sequence) cursors.note(this.options.position(), cursor);',
  ]),
  omit(
    '2 follow',
    'a second without an answer counts as disconnected',
    three,
    { ...key, weathers: 0.1, weather: ['hole', 'fast'] },
    [subscriber, 'HEARD_WITHIN_MS = 1_000', 'HEARD_WITHIN_MS = 1_000_000'],
  ),
  omit('2 drop', 'flights are invalidated', letting, { ...key, ...trims }, [
    remote,
    `log.invalidateAll();
    memory.clearAll();`,
    'memory.clearAll();',
  ]),
  omit('2 drop', 'memory is emptied', letting, { ...key, ...trims }, [
    remote,
    `    memory.clearAll();
    for (const tier of this.tiers('l2', 'l3'))`,
    "    for (const tier of this.tiers('l2', 'l3'))",
  ]),
  omit(
    '2 drop',
    'nothing on disk is trusted',
    forgetful,
    { ...key, ...failsOver },
    [remote, "for (const tier of this.tiers('l2', 'l3')) tier.invalidateBefore(log.position);", ''],
    [remote, 'if (!isEmpty) await persistence?.invalidateAll();', ''],
  ),
  omit(
    '2 drop',
    'the disk is emptied',
    disks,
    { ...key, kills: 0.15, faults: 0.15, fault: ['trim', 'copy', 'fail-over'], ...slow },
    [remote, 'if (!isEmpty) await persistence?.invalidateAll();', ''],
  ),
  omit('3 read', 'the server judges entries from before the subscription', disks, { ...tag, kills: 0.1, disks: [] }, [
    applied,
    'birth >= this.since && ',
    '',
  ]),
  omit('3 read', 'the judgement of the server is followed', disks, { ...tag, kills: 0.1, disks: [] }, [
    scripts,
    JUDGED,
    'if isSound then',
  ]),
  omit('3 read', 'applied tags are checked', two, tag, [applied, 'this.tags.isAfter(birth, entry.tags) || ', '']),
  omit('3 read', 'applied clears are checked', two, clear, [
    applied,
    'if (this.clearOf(entry.lane) > birth || this.clearOf(null) > birth) return true;',
    '',
  ]),
  omit('3 read', 'applied patterns are checked', two, pattern, [applied, ' || this.patterns.match(entry, birth)', '']),
  omit('3 read', 'unpublished records are checked on reads', nodes, { ...key, ...slow }, [
    lookups,
    ' || anyMatches(this.unheard, named)',
    '',
  ]),
  omit(
    '3 read',
    'records without an echo count as unpublished',
    two,
    { ...tag, keys: ['a'], weathers: 0.2, weather: ['slow'], times: [1] },
    [outgoingQueue, '[...this.waiting, ...this.awaitingEcho]', '[...this.waiting]'],
  ),
  omit(
    '3 read',
    'a found entry has its birth at the start of the look-up',
    two,
    { ...tag, keys: ['b'], weathers: 0.2, weather: ['slow'], times: [1] },
    [
      lookups,
      "'foreign' : new OwnRecord(record, this.birth, endsAt)",
      "'foreign' : new OwnRecord(record, this.options.position(), endsAt)",
    ],
  ),
  omit('4 write', 'an entry that was invalidated since its birth is refused', three, { ...key, ...slow }, [
    scripts,
    "if newestAboutKey(ARGV[4], ARGV[5], ARGV[7]) > birth then return 'OUTDATED' end",
    '',
  ]),
  omit('4 write', 'the floor of keys', three, { ...key, ...slow, keys: ['a', 'b', 'c'] }, fewPositions, [
    scripts,
    'math.max(key, floor, newestAbout(lane, tags))',
    'math.max(key, newestAbout(lane, tags))',
  ]),
  omit(
    '3 read',
    'the floor of tags',
    disks,
    { ...tag, kills: 0.1, disks: [] },
    [publisher, 'POSITIONS_ON_SERVER = 100_000', 'POSITIONS_ON_SERVER = 1'],
    [scripts, 'math.max(all, tonumber(found[4] or 0))', 'all'],
  ),
  omit('3 read', 'the floor of patterns', disks, { ...pattern, kills: 0.1, disks: [] }, fewPatterns, [
    scripts,
    ', tonumber(found[3] or 0))',
    ')',
  ]),
  omit(
    '5 history lost',
    'another server has another run id',
    forgetful,
    { ...key, ...failsOver, ...away, disks: [], kills: 0.1 },
    [scripts, "(ARGV[2] ~= '1' and meta[2] ~= run)", 'false'],
  ),
  omit(
    '5 history lost',
    'a key of the log is gone',
    letting,
    { ...tag, faults: 0.2, fault: ['evict'] },
    [scripts, 'not meta[3] or not whole(gen)', 'not meta[3]'],
    [scripts, `${HALF}\n${JUDGES}`, JUDGES],
    [scripts, `${HALF}\nlocal birth`, 'local birth'],
  ),
  omit(
    '5 history lost',
    'a new generation drops all, also on catching up',
    forgetful,
    { ...key, ...failsOver, disks: [] },
    [subscriber, 'if (!isReachable) void this.drop(cursor);', 'if (!isReachable) cursors.note(position(), cursor);'],
  ),
  omit('5 history lost', 'a new generation drops all', letting, { ...key, faults: 0.12, fault: ['evict'] }, [
    subscriber,
    `    applied.patterns.learnAll(patterns);
    void this.drop(cursor);`,
    `    applied.patterns.learnAll(patterns);
    this.options.cursors.note(this.options.position(), cursor);`,
  ]),
  omit('6 take-over', 'the disk is not read before it is caught up', disks, { ...key, kills: 0.12, ...away }, [
    remote,
    "if (source === 'server') for (const tier of this.tiers('l3')) tier.hold();",
    '',
  ]),
  omit('6 take-over', 'the disk is caught up from its own cursor', disks, { ...key, ...kills }, [
    subscriber,
    `    const { seen } = this;
    const isReachable`,
    `    const seen = cursors.current ?? (this.options.journal() === undefined ? undefined : cursor);
    const isReachable`,
  ]),
  omit('7 out of reach', 'unpublished records are kept', disks, { ...key, ...kills, ...away }, [
    outgoingQueue,
    '    await outbox.keep(new Map(waiting.map(({ id, record }) => [id, record])));',
    '',
  ]),
  omit('7 out of reach', 'kept records are published', disks, { ...key, ...kills, ...away }, [
    publisher,
    'Array.from(outbox.found, ',
    'Array.from(new Map(outbox.found.size > 0 ? [] : outbox.found), ',
  ]),
  omit('7 out of reach', 'an invalidation that is neither published nor kept rejects', three, { ...key, ...away }, [
    publisher,
    "      throw new LaneCacheError(\n        'INVALIDATION_PENDING',",
    "      if (cause !== undefined) return false;\n      throw new LaneCacheError(\n        'INVALIDATION_PENDING',",
  ]),
  omit(
    '7 out of reach',
    'unpublished records are sent again',
    disks,
    { ...key, ...away },
    [
      publisher,
      `    this.target = target;
    await this.resend();`,
      '    this.target = target;',
    ],
    [subscriber, 'void log.resend();', ''],
  ),
  omit('cut off for too long', 'nothing is served', three, { ...key, ...away, times: [1_300, 7_000] }, [
    read,
    "if (isPartitioned(context)) return 'stale-distributed';",
    '',
  ]),
  omit(
    'cut off for too long',
    'flights are invalidated and memory is checked',
    three,
    { ...key, ...away, times: [1_300, 7_000] },
    [
      remote,
      `  suspect(): void {
    this.shared.log.invalidateAll();`,
      '  suspect(): void {',
    ],
  ),
  omit('8 entries elsewhere', 'applied keys are checked', nodes, { ...key, ...slow, disks: [] }, [
    applied,
    'if (this.keys !== undefined && this.keys.isAfter(birth, [keyMember(entry.lane, entry.key)])) return true;',
    '',
  ]),
  omit(
    '8 entries elsewhere',
    'the floor of the keys that an instance remembers',
    nodes,
    { keys: ['a', 'b', 'c'], kinds: ['key'], ...slow, disks: [] },
    [applied, 'const REMEMBERED = 100_000;', 'const REMEMBERED = 1;'],
    ['lib/invalidation/invalidation-log.ts', 'if (birth < this.lowest) return true;', ''],
  ),
  omit(
    '8 entries elsewhere',
    'the node of the log judges entries from before the subscription',
    nodes,
    { ...tag, kills: 0.1, disks: [] },
    [scripts, 'isSound and newest <= tonumber(ARGV[at + 3]) and 1 or 0', 'isSound and 1 or 0'],
  ),
  omit(
    '8 entries elsewhere',
    'the node of the log judges keys',
    nodes,
    { ...key, ...slow, kills: 0.1, disks: [] },
    [
      scripts,
      'pcall(newestAboutKey, ARGV[at], ARGV[at + 1], ARGV[at + 2])',
      'pcall(newestAbout, ARGV[at], ARGV[at + 2])',
    ],
    [
      spread,
      "if (lane === null || (kind !== 'key' && kind !== 'expire')) return false;",
      'if (lane !== undefined) return false;',
    ],
  ),
  omit('8 entries elsewhere', 'a late set writes no entry', nodes, { ...key, ...slow, sets: 0.15, disks: [] }, [
    scripts,
    'return { append(), brings and 1 or 0 }',
    'return { append(), 1 }',
  ]),
];
