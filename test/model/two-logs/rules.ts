import type { Edit, Omission } from '../harness/model.js';
import type { Scene } from './actions.js';
import type { SceneName } from './scenes.js';
import { SCRIPTS } from './scripts.js';

const twoLogRecords = 'lib/redis/shared-log/two-log-records.ts';
const outgoingQueue = 'lib/redis/shared-log/outgoing-queue.ts';
const publisher = 'lib/redis/shared-log/publisher.ts';
const backend = 'lib/redis/redis-backend.ts';
const codec = 'lib/invalidation/host-records.ts';
const subscriber = 'lib/redis/shared-log/subscriber.ts';
const remote = 'lib/ipc/remote-l3.ts';
const service = 'lib/ipc/entry-service.ts';

const two = 'two hosts';
const alone = 'processes that are cut off alone';
const kills = 'owners that are killed';

const key: Partial<Scene> = { keys: ['c'], kinds: ['key'], sets: 0 };
const tag: Partial<Scene> = { keys: ['a'], kinds: ['tag'], sets: 0 };
const slow: Partial<Scene> = { weathers: 0.1, weather: ['slow', 'slow', 'fast'] };
const lostAnswers: Partial<Scene> = { weathers: 0.12, weather: ['deaf', 'slow', 'slow', 'cut', 'fast'] };
const away: Partial<Scene> = { weathers: 0.12, weather: ['down', 'down', 'fast', 'fast'] };

const omit = (
  rule: string,
  out: string,
  scene: SceneName,
  focus: Partial<Scene>,
  ...edits: Edit[]
): Omission<Scene> => ({ rule, out, scene, focus, edits, script: SCRIPTS[out] });

/** The rules by which a record that comes by two logs counts for both, each with one way to break it. */
export const OMISSIONS: readonly Omission<Scene>[] = [
  omit(
    '1 two orders',
    'a place on the server is of its generation',
    'everything',
    { ...key, ...slow, faults: 0.06, fault: ['empty'] },
    [
      twoLogRecords,
      'return place !== undefined && place.generation === cursor?.generation && place.sequence <= cursor.sequence;',
      'return place !== undefined && place.sequence <= (cursor?.sequence ?? 0);',
    ],
  ),
  omit('17 records of one log', 'a record of the host alone bars entries of the server', alone, { ...key, ...away }, [
    outgoingQueue,
    'return unpublished.length === 0 ? this.snapshot : [...this.snapshot, ...unpublished];',
    'return unpublished.length < 0 ? [] : this.snapshot;',
  ]),
  omit(
    '17 records of one log',
    'a process that starts knows what is unpublished',
    alone,
    { ...key, ...away, kills: 0.06 },
    [
      backend,
      'for (const [id, record] of settings.unpublished)',
      'for (const [id, record] of new Map<string, SharedRecord>())',
    ],
  ),
  omit('17 records of one log', 'a copy is known by its id', alone, { ...key, ...lostAnswers }, [
    twoLogRecords,
    'const done = this.followed.get(copy.id);',
    'const done = this.followed.size > 0 ? DONE : undefined;',
  ]),
  omit('17 records of one log', 'a record of the server settles its own copy alone', alone, { ...key, ...away }, [
    twoLogRecords,
    'const wasMissing = this.settle(id);',
    'const wasMissing = [...this.missing.keys(), id].map((one) => this.settle(one)).includes(true);',
  ]),
  omit('17 records of one log', 'a place that was not reached bars', two, { ...key, ...slow }, [
    twoLogRecords,
    'place.sequence <= cursor.sequence;',
    'place.sequence > 0;',
  ]),
  omit('17 records of one log', 'what nobody publishes is published', kills, { ...key, ...away, kills: 0.1 }, [
    publisher,
    'if (left.length === 0) return;',
    'if (left.length >= 0) return;',
  ]),
  omit(
    '17 records of one log',
    'what was missed on the server ends there',
    alone,
    { ...key, ...away, faults: 0.08, fault: ['trim'] },
    [twoLogRecords, 'if (isOfBefore || isReached(copy, cursor)) this.settle(id);', 'if (isOfBefore) this.settle(id);'],
  ),
  omit('17 records of one log', 'an answer of L3 carries its place on the server', two, { ...tag, ...slow }, [
    remote,
    'if (!this.countsSince(head.server, lane, record)) return MISS;',
    '',
  ]),
  omit('17 records of one log', 'an offer carries its place on the server', two, { ...key, ...slow }, [
    service,
    "return head.server === undefined ? 'unknown' : sharedLog.judge(head.server, subject);",
    'return standing;',
  ]),
  omit('18 L3 follows the server', 'an owner carries out what L3 has missed', kills, { ...tag, ...slow, kills: 0.1 }, [
    subscriber,
    'for (const record of missed) this.settle(cache.apply(record));',
    'void missed;',
  ]),
  omit('18 L3 follows the server', 'a place is appended that the server has', two, { ...key, ...slow }, [
    codec,
    'place?.generation === generation ? place.sequence : 0',
    'place?.generation === generation ? 1 : 0',
  ]),
];
