import { type Omission, type OmissionMaker, omissionsOf } from '../harness/model.js';
import type { Scene } from './actions.js';
import type { SceneName } from './scenes.js';
import { SCRIPTS } from './scripts.js';

const hostLog = 'lib/invalidation/host-log.ts';
const recent = 'lib/invalidation/host-records.ts';
const files = 'lib/storage/files/log-files.ts';
const remote = 'lib/ipc/remote-l3.ts';
const service = 'lib/ipc/entry-service.ts';
const app = 'lib/app/cache-app.ts';
const read = 'lib/cache/read.ts';

const two = 'two processes';
const sets = 'values that are set';
const kills = 'owners that are killed';
const stops = 'processes that are stopped';
const full = 'many segments, and a disk that is full';
const removed = 'a folder that is removed';
const power = 'power cuts';

const key: Partial<Scene> = { keys: ['c'], kinds: ['key'] };
const tag: Partial<Scene> = { keys: ['a', 'b'], kinds: ['tag'] };
const forgetful: Partial<Scene> = { ...key, forgets: 0.15 };

const omit: OmissionMaker<Scene, SceneName> = omissionsOf(SCRIPTS);

/** The rules by which nothing that one process invalidated comes back in another, each with one way to break it. */
export const OMISSIONS: readonly Omission<Scene>[] = [
  omit('1 two orders', 'an answer of L3 is as old as its question', two, { ...tag, keys: ['b'], forgets: 0.15 }, [
    remote,
    'reborn(question, found.bytes, found.expiresAt);',
    'reborn({ ...question, birth: this.options.position() }, found.bytes, found.expiresAt);',
  ]),
  omit('1 two orders', 'an offer takes the position of its owner', kills, tag, [
    service,
    'const birth = log.position;',
    'const birth = Number.MAX_SAFE_INTEGER;',
  ]),
  omit('3 every call looks first', 'a hit in memory looks', two, key, [
    read,
    'if (hostLog !== undefined && now >= hostLog.freshUntil) hostLog.look();\n  const entry',
    'const entry',
  ]),
  omit('3 every call looks first', 'a look lapses', two, key, [
    hostLog,
    'if (this.freshUntil !== NEVER) this.freshUntil = 0;',
    '',
  ]),
  omit('4 an offer carries its place', 'an offer that was named since is refused', two, forgetful, [
    recent,
    "if (isOther && names(newer.record, subject)) return 'named';",
    '',
  ]),
  omit('4 an offer carries its place', 'records of the owner that have not come round refuse it', two, forgetful, [
    hostLog,
    "if (this.unechoed().some((record) => names(record, subject))) return 'named';",
    '',
  ]),
  omit('5 the owner knows what was named', 'an offer of another history is refused', full, forgetful, [
    recent,
    "if (!this.knows(asOf)) return 'unknown';",
    '',
  ]),
  omit('6 a set is offered once its record came round', 'as of its record', sets, { ...forgetful, sets: 0.15 }, [
    hostLog,
    'this.waitingOffers.echoed(own, place);',
    'this.waitingOffers.echoed(own, this.place ?? place);',
  ]),
  omit(
    '6 a set is offered once its record came round',
    'a set that another one names is given up',
    sets,
    { ...forgetful, sets: 0.15 },
    [hostLog, 'this.waitingOffers.named(record);', ''],
  ),
  omit('7 own records', 'an answer that an own record names is a miss', two, forgetful, [
    remote,
    'if (unechoed.some((own) => names(own, { lane, key, tags: record.tags }))) return MISS;',
    '',
  ]),
  omit(
    '8 an answer carries its place',
    'an owner that has not followed answers misses',
    stops,
    forgetful,
    [remote, 'if (head.position < asOf.position) return IN_USE;', ''],
    [service, 'hostLog.look();\n    if (head.kind', 'if (head.kind'],
  ),
  omit('9 resolved is followed and synced', 'a record is followed', two, key, [
    hostLog,
    'if (!own.isEchoed || !own.isSynced) continue;',
    'own.isEchoed = own.isSynced = true;',
  ]),
  omit('9 resolved is followed and synced', 'a record is synced', power, { ...forgetful, powerCuts: 0.06 }, [
    hostLog,
    'await segment.sync();',
    'await Promise.resolve();',
  ]),
  omit('9 resolved is followed and synced', 'what lies behind the end is appended again', full, { ...key, faults: 0 }, [
    hostLog,
    'else own.segment = undefined;',
    'else own.isEchoed = own.isSynced = true;',
  ]),
  omit(
    '10 the look reads the last checksum',
    'a void history is noticed',
    full,
    { ...key, rotations: 0, faults: 0.08 },
    [
      files,
      "if (length < CHECKSUM_BYTES || buffer.readUInt32LE(0) !== this.checksum) return 'lost';",
      "if (length < CHECKSUM_BYTES) return 'end';",
    ],
  ),
  omit('10 the look reads the last checksum', 'a lost history drops everything', full, { ...key, faults: 0.08 }, [
    hostLog,
    'const dropped = cache?.drop().catch(() => undefined);',
    'const dropped = Promise.resolve();',
  ]),
  omit(
    '11 void is a new generation',
    'the old one is emptied',
    full,
    { ...key, faults: 0.08 },
    [
      files,
      'if (newest !== undefined) this.folder.empty(nameOf(newest));\n      this.attach();',
      'LogSegment.create(this.folder, (newest ?? 0) + 1, { generation: randomId(), base: 0 });\n      this.attach();',
    ],
    [files, '    this.segment.cut();\n', ''],
  ),
  omit('11 void is a new generation', 'what had not come round is appended again', removed, key, [
    hostLog,
    'own.segment = undefined;\n      own.isEchoed = false;\n      own.isSynced = false;',
    'own.isEchoed = true;\n      own.isSynced = true;',
  ]),
  omit('12 attach reads the newest segment', 'never behind its end', full, { ...key, rotations: 0.1, faults: 0 }, [
    files,
    "if (followed === 'end') {",
    "if (followed !== 'lost') {",
  ]),
  omit(
    '12 attach reads the newest segment',
    'a new name is synced',
    power,
    { ...key, powerCuts: 0.06, rotations: 0.08 },
    // That of the first one is left, because without it no history survives.
    [files, 'folder.sync();', 'if (number === 1) folder.sync();'],
  ),
  omit(
    '12 attach reads the newest segment',
    'a segment is synced before its successor',
    power,
    { ...key, powerCuts: 0.06, rotations: 0.1 },
    [files, 'segment.syncNow();\n      LogSegment.create', 'LogSegment.create'],
    [hostLog, 'segment.syncNow();\n    for (const own', 'for (const own'],
  ),
  omit(
    "13 L3's place fits",
    'a place of another history voids L3',
    full,
    { ...forgetful, processes: 3, kills: 0.1, faults: 0.06 },
    [
      hostLog,
      'return place === undefined ? current.files.isUnused : current.files.replay(place, ignore);',
      'return true;',
    ],
  ),
  omit('14 an owner replays', 'what L3 has missed is carried out', kills, { ...forgetful, kills: 0.12 }, [
    app,
    'disk.hostLog?.replay(journal.initial.place);',
    '',
  ]),
  omit(
    '20 the path names the file',
    'a removed folder is noticed',
    removed,
    key,
    [hostLog, 'if (!files.segment.isInPlace) await this.leave(files);', ''],
    [hostLog, 'if (now >= this.inPlaceUntil) this.findPlace(this.current.files, now);', ''],
  ),
  omit('20 the path names the file', 'those who follow what was removed are stopped', removed, key, [
    hostLog,
    'files.segment.cut();',
    '',
  ]),
  omit(
    '20 the path names the file',
    'a process that was cut off answers for no invalidation',
    full,
    { ...key, faults: 0.08 },
    [
      hostLog,
      "if (this.current.state === 'off' || this.current.state === 'closed') return undefined;",
      "if (this.current.state !== 'on') return undefined;",
    ],
  ),
];
