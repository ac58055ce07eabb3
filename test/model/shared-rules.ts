import type { SharedScene } from './shared-actions.js';
import type { Edit, Omission } from './omission.js';
import type { SharedSceneName } from './shared-scenes.js';

const scripts = 'lib/redis/shared-log/scripts.ts';
const line = 'lib/redis/shared-log/subscriber.ts';
const log = 'lib/redis/shared-log/publisher.ts';
const lookUp = 'lib/redis/tier/lookups.ts';
const heard = 'lib/redis/shared-log/applied-records.ts';
const speaker = 'lib/redis/shared-log/publisher.ts';
const unsaid = 'lib/redis/shared-log/publisher.ts';
const patterns = 'lib/redis/shared-log/applied-records.ts';
const follower = 'lib/cache/remote-invalidations.ts';
const requests = 'lib/cache/read.ts';

const two = 'two instances';
const three = 'three, badly connected';
const disks = 'disks and restarts';
const forgetful = 'a server that loses its memory';
const letting = 'a server that lets go';

const key: Partial<SharedScene> = { keys: ['c'], says: ['key'] };
const tag: Partial<SharedScene> = { keys: ['a', 'b'], says: ['tag'] };
const clear: Partial<SharedScene> = { keys: ['c'], says: ['all'] };
const pattern: Partial<SharedScene> = { keys: ['a', 'b'], says: ['pattern'] };
const slow: Partial<SharedScene> = { weathers: 0.1, weather: ['slow', 'slow', 'fast'] };
const cuts: Partial<SharedScene> = { weathers: 0.15, weather: ['cut', 'cut', 'slow', 'fast'] };
const away: Partial<SharedScene> = { weathers: 0.12, weather: ['down', 'down', 'fast', 'fast'] };
const trims: Partial<SharedScene> = { faults: 0.1, fault: ['trim'], ...slow };
const kills: Partial<SharedScene> = { kills: 0.12, weather: ['fast', 'slow'] };
const failsOver: Partial<SharedScene> = { faults: 0.1, fault: ['copy', 'fail-over'] };

const omit = (
  rule: string,
  out: string,
  scene: SharedSceneName,
  focus: Partial<SharedScene>,
  ...edits: Edit[]
): Omission<SharedScene, SharedSceneName> => ({ rule, out, scene, focus, edits });

const fewPositions: Edit = [speaker, 'POSITIONS_ON_SERVER = 100_000', 'POSITIONS_ON_SERVER = 2'];
const fewPatterns: Edit = [patterns, 'PATTERNS_ON_SERVER = 256', 'PATTERNS_ON_SERVER = 2'];
const HALF = "if redis.call('HGET', KEYS[1], 'gen') ~= ARGV[1] or not whole(ARGV[1]) then return 'GENERATION' end";
const JUDGED = 'if isSound and at <= birth then';

/** The rules by which no instance serves what another has invalidated, each with one way to break it. */
export const SHARED_OMISSIONS: readonly Omission<SharedScene, SharedSceneName>[] = [
  omit('1 givenTags in one step', 'the record takes the entry away', two, key, [
    scripts,
    "gone = redis.call('DEL', KEYS[6])",
    'gone = 0',
  ]),
  omit('1 givenTags in one step', 'a set that comes late brings no value', three, { ...key, ...slow }, [
    scripts,
    `newestAboutKey(lane, member, ARGV[11]) <= tonumber(ARGV[13])
  and #patternsAfter(ARGV[14]) == 0`,
    'true',
  ]),
  omit(
    '1 givenTags in one step',
    'a value goes along at the first attempt only',
    forgetful,
    { ...key, ...cuts, sets: 0.15, faults: 0.1, fault: ['empty', 'fail-over', 'copy'], disks: [] },
    [speaker, 'record.entry = undefined;', ''],
    [log, 'for (const record of some) record.entry = undefined;', ''],
  ),
  omit('1 givenTags in one step', 'a call ends when its record has come round', two, { ...tag, ...slow }, [
    log,
    'if (appended.sequence <= this.reached) echoed();',
    'if (appended.sequence > 0) echoed();',
  ]),
  omit('2 follow', 'what others say is followed', two, key, [line, 'record.by === log.by', 'record.by !== undefined']),
  omit('2 follow', 'every record is the next', letting, { ...key, ...trims }, [
    line,
    ' || sequence !== before.sequence + 1',
    '',
  ]),
  omit(
    '2 follow',
    'silence where there should be records',
    letting,
    { ...key, faults: 0.2, fault: ['trim'], ...slow },
    [
      line,
      'if (wasWhole && records.length === 0 && now < handshake.cursor.sequence) void this.drop(handshake.cursor);',
      'if (wasWhole && records.length === 0 && now < handshake.cursor.sequence) cursors.note(this.options.position(), handshake.cursor);',
    ],
  ),
  omit('2 follow', 'unheard for a second is cut off', three, { ...key, weathers: 0.1, weather: ['hole', 'fast'] }, [
    line,
    'HEARD_WITHIN_MS = 1_000',
    'HEARD_WITHIN_MS = 1_000_000',
  ]),
  omit('2 drop', 'flights are fenced', letting, { ...key, ...trims }, [
    follower,
    `log.invalidateAll();
    memory.clearAll();`,
    'memory.clearAll();',
  ]),
  omit('2 drop', 'memory is emptied', letting, { ...key, ...trims }, [
    follower,
    `    memory.clearAll();
    for (const gate of this.gates('l2', 'l3'))`,
    "    for (const gate of this.gates('l2', 'l3'))",
  ]),
  omit(
    '2 drop',
    'nothing of the disk is believed',
    forgetful,
    { ...key, ...failsOver },
    [follower, "for (const gate of this.gates('l2', 'l3')) gate.invalidateBefore(log.position);", ''],
    [follower, 'if (!isBare) await persistence?.invalidateAll();', ''],
  ),
  omit(
    '2 drop',
    'the disk is voided',
    disks,
    { ...key, kills: 0.15, faults: 0.15, fault: ['trim', 'copy', 'fail-over'], ...slow },
    [follower, 'if (!isBare) await persistence?.invalidateAll();', ''],
  ),
  omit('3 read', 'the server judges what was not heard', disks, { ...tag, kills: 0.1, disks: [] }, [
    heard,
    'birth >= this.since && ',
    '',
  ]),
  omit('3 read', 'what it judges is obeyed', disks, { ...tag, kills: 0.1, disks: [] }, [
    scripts,
    JUDGED,
    'if isSound then',
  ]),
  omit('3 read', 'tags that were heard', two, tag, [heard, 'this.tags.isAfter(birth, entry.tags) || ', '']),
  omit('3 read', 'clears that were heard', two, clear, [
    heard,
    'if (this.clearOf(entry.lane) > birth || this.clearOf(null) > birth) return true;',
    '',
  ]),
  omit('3 read', 'patterns that were heard', two, pattern, [heard, ' || this.patterns.match(entry, birth)', '']),
  omit(
    '3 read',
    'nothing is taken that the server has not been told of',
    letting,
    { ...key, faults: 0.15, fault: ['full', 'room'] },
    [lookUp, ' || anyMatches(this.unheard, named)', ''],
  ),
  omit(
    '3 read',
    'what has not come round counts as not told',
    two,
    { ...tag, keys: ['a'], weathers: 0.2, weather: ['slow'], times: [1] },
    [unsaid, '[...this.waiting, ...this.awaitingEcho]', '[...this.waiting]'],
  ),
  omit(
    '3 read',
    'what is found is born where the look began',
    two,
    { ...tag, keys: ['b'], weathers: 0.2, weather: ['slow'], times: [1] },
    [
      lookUp,
      'record && new OwnRecord(record, this.birth, endsAt)',
      'record && new OwnRecord(record, this.options.position(), endsAt)',
    ],
  ),
  omit('4 write', 'what was named since the birth is refused', three, { ...key, ...slow }, [
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
    [speaker, 'POSITIONS_ON_SERVER = 100_000', 'POSITIONS_ON_SERVER = 1'],
    [scripts, 'math.max(all, tonumber(found[4] or 0))', 'all'],
  ),
  omit('3 read', 'the floor of patterns', disks, { ...pattern, kills: 0.1, disks: [] }, fewPatterns, [
    scripts,
    ', tonumber(found[3] or 0))',
    ')',
  ]),
  omit(
    '5 history lost',
    'another server has another run',
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
    [scripts, `${HALF}\nlocal found`, 'local found'],
    [scripts, `${HALF}\nlocal birth`, 'local birth'],
  ),
  omit(
    '5 history lost',
    'a new generation, met whenCaughtUp, drops all',
    forgetful,
    { ...key, ...failsOver, disks: [] },
    [line, 'if (!isReachable) void this.drop(cursor);', 'if (!isReachable) cursors.note(position(), cursor);'],
  ),
  omit('5 history lost', 'a new generation, heard of, drops all', letting, { ...key, faults: 0.12, fault: ['evict'] }, [
    line,
    `      applied.patterns.learnAll(handshake.patterns);
      void this.drop(handshake.cursor);`,
    `      applied.patterns.learnAll(handshake.patterns);
      cursors.note(this.options.position(), handshake.cursor);`,
  ]),
  omit('6 take-over', 'the disk is not read before it is caught up', disks, { ...key, kills: 0.12, ...away }, [
    follower,
    "for (const gate of this.gates('l3')) gate.hold();",
    '',
  ]),
  omit('6 take-over', 'it is caught up from its own cursor', disks, { ...key, ...kills }, [
    line,
    `    const seen = cursors.current ?? journal()?.initial.cursor;
    const isReachable`,
    `    const seen = cursors.current ?? (journal() === undefined ? undefined : cursor);
    const isReachable`,
  ]),
  omit('7 out of reach', 'what was not told is kept', disks, { ...key, ...kills, ...away }, [
    unsaid,
    '    await outbox.keep(new Map(waiting.map(({ id, record }) => [id, record])));',
    '',
  ]),
  omit('7 out of reach', 'what was kept is told', disks, { ...key, ...kills, ...away }, [
    log,
    'Array.from(outbox.found, ',
    'Array.from(new Map(outbox.found.size > 0 ? [] : outbox.found), ',
  ]),
  omit('7 out of reach', 'what is neither told nor kept is rejected', three, { ...key, ...away }, [
    log,
    "      throw new LaneCacheError(\n        'INVALIDATION_PENDING',",
    "      if (cause !== undefined) return false;\n      throw new LaneCacheError(\n        'INVALIDATION_PENDING',",
  ]),
  omit(
    '7 out of reach',
    'what is unsaid is said again',
    disks,
    { ...key, ...away },
    [
      log,
      `    this.target = target;
    await this.resend();`,
      '    this.target = target;',
    ],
    [line, 'void log.resend();', ''],
  ),
  omit('cut off for too long', 'nothing is served', three, { ...key, ...away, times: [1_300, 7_000] }, [
    requests,
    "if (isPartitioned(context)) return 'stale-distributed';",
    '',
  ]),
  omit(
    'cut off for too long',
    'flights are fenced and memory is looked at',
    three,
    { ...key, ...away, times: [1_300, 7_000] },
    [
      follower,
      `  suspect(): void {
    this.shared.log.invalidateAll();`,
      '  suspect(): void {',
    ],
  ),
];
