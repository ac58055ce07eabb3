import { afterEach, describe, expect, it } from '@jest/globals';
import { LifeClock, nextTurn } from '../../../lib/clock/clock.js';
import { HostLog } from '../../../lib/invalidation/host-log.js';
import { EMPTY_LOG, type LogRow } from '../../../lib/invalidation/journal.js';
import type { LogCursor, SharedRecord } from '../../../lib/invalidation/shared-log.js';
import { FolderOnDisk, LogFiles } from '../../../lib/storage/files/log-files.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { Deferred } from '../../support/deferred.js';
import { logBesideTheOwner } from '../../support/host-logs.js';
import { StorageBench } from '../../support/storage.js';

const DONE = Promise.resolve();

describe('the records of one call', () => {
  const bench = new StorageBench();
  const logs: HostLog[] = [];
  afterEach(async () => {
    await Promise.all(logs.splice(0).map((log) => log.close()));
    await bench.dispose();
  });

  const logOf = (folder: FolderOnDisk): HostLog => {
    const log = logBesideTheOwner({ folder });
    logs.push(log);
    return log;
  };

  const open = async (directory: string) => {
    const followed: SharedRecord[] = [];
    const log = logOf(new FolderOnDisk(directory));
    await log.open();
    const apply = (record: SharedRecord): Promise<void> => {
      followed.push(record);
      return DONE;
    };
    log.start({ apply, drop: () => DONE, bar: () => undefined }, undefined);
    return { log, followed };
  };

  /** What the file of the log has, record by record. */
  const bodiesIn = async (directory: string, append: () => Promise<unknown>): Promise<readonly string[]> => {
    const files = await LogFiles.open(new FolderOnDisk(directory));
    const bodies: string[] = [];
    await append();
    files.follow(
      (body) => bodies.push(body),
      () => undefined,
    );
    files.close();
    return bodies;
  };

  const keys = (count: number, more = ''): SharedRecord[] =>
    Array.from({ length: count }, (_, n) => ({ kind: 'key', lane: 'a', subject: `key:${n}${more}` }));
  const subjectsOf = (records: readonly SharedRecord[]): string[] => records.map(({ subject }) => subject);

  it('share a record of the file, and every process follows each of them in order', async () => {
    const directory = await bench.path('log');
    const [writer, reader] = [await open(directory), await open(directory)];
    const bodies = await bodiesIn(directory, async () => writer.log.publish(keys(60), DONE));
    expect(bodies).toHaveLength(1);
    reader.log.look();
    expect(subjectsOf(reader.followed)).toEqual(subjectsOf(keys(60)));
    expect(writer.followed).toEqual([]);
  });

  it('come round when the log is opened twice at once', async () => {
    class SlowFolder extends FolderOnDisk {
      readonly preparations: Deferred<void>[] = [];
      override async prepare(): Promise<void> {
        const held = new Deferred<void>();
        this.preparations.push(held);
        await held.promise;
        await super.prepare();
      }
    }
    const folder = new SlowFolder(await bench.path('log'));
    const log = logOf(folder);
    const openings = [log.open(), log.open()];
    for (const { resolve } of folder.preparations) resolve();
    await Promise.all(openings);
    expect(folder.preparations).toHaveLength(1);
    log.start({ apply: () => DONE, drop: () => DONE, bar: () => undefined }, undefined);
    await log.publish(keys(3), DONE);
    expect(log.behindBytes).toBe(0);
  });

  it('are kept apart by kind and lane', async () => {
    const directory = await bench.path('log');
    const [writer, reader] = [await open(directory), await open(directory)];
    const mixed: SharedRecord[] = [
      { kind: 'key', lane: 'a', subject: 'x' },
      { kind: 'key', lane: 'b', subject: 'x' },
      { kind: 'tag', lane: null, subject: 'x' },
    ];
    await writer.log.publish(mixed, DONE);
    reader.log.look();
    expect(reader.followed).toMatchObject(mixed);
  });

  it('fit into the file also with the longest keys', async () => {
    const directory = await bench.path('log');
    const [writer, reader] = [await open(directory), await open(directory)];
    // In JSON, each of these characters takes six.
    const long = keys(64, '\u0001'.repeat(60_000));
    await writer.log.publish(long, DONE);
    reader.log.look();
    expect(subjectsOf(reader.followed)).toEqual(subjectsOf(long));
  });

  it('are none of those that may be offered before all have come round', async () => {
    const directory = await bench.path('log');
    const { log } = await open(directory);
    const publishing = log.publish(keys(3), DONE);
    expect(subjectsOf(log.unechoed())).toEqual(subjectsOf(keys(3)));
    const offer = log.offerable({ lane: 'a', key: 'key:2', tags: [] });
    expect(offer).toBeInstanceOf(Promise);
    expect(log.offerable({ lane: 'a', key: 'other', tags: [] })).toEqual(log.place);
    await publishing;
    expect(log.unechoed()).toEqual([]);
    expect(await offer).toEqual(log.place);
  });

  it('come with the ids of their copies on the server, and with the places that are known when they are appended', async () => {
    const directory = await bench.path('log');
    const [writer, reader] = [await open(directory), await open(directory)];
    const copies: { id: string; place: LogCursor | undefined }[] = [7, 8].map((n) => ({
      id: `me:${n}`,
      place: undefined,
    }));
    const settled = new Deferred<void>();
    const publishing = writer.log.publish(keys(2), DONE, { copies, settled: settled.promise });
    const [first] = copies;
    if (first !== undefined) first.place = { generation: 'g', sequence: 3 };
    settled.resolve();
    await publishing;
    await writer.log.publish(keys(1), DONE, { copies: [undefined], settled: DONE });
    reader.log.look();
    const place = { generation: 'g', sequence: 3 };
    expect(reader.followed.map(({ copy }) => copy)).toEqual([
      { id: 'me:7', place },
      { id: 'me:8', place: undefined },
      { id: expect.any(String), place: undefined },
    ]);
  });

  it('have ids of their own, the same for every reader, where their author does not name the copies', async () => {
    const directory = await bench.path('log');
    const readers = [await open(directory), await open(directory)];
    const files = await LogFiles.open(new FolderOnDisk(directory));
    await files.segment.append(['["somebody",1,1,"key","a",["x","y"],"me"]', '["somebody",2,1,"key","a","z"]']);
    files.close();
    for (const { log } of readers) log.look();
    const ids = readers.map(({ followed }) => followed.map(({ copy }) => copy?.id));
    expect(new Set(ids[0]).size).toBe(3);
    expect(ids[0]).toEqual(ids[1]);
  });

  it.each([
    ['names nothing', (head: string) => `${head},[]]`],
    ['names something else than a text', (head: string) => `${head},["x",7]]`],
    ['names one number', (head: string) => `${head},7]`],
  ])('may have named everything where one %s', async (_, bodyOf) => {
    const directory = await bench.path('log');
    const { log, followed } = await open(directory);
    const files = await LogFiles.open(new FolderOnDisk(directory));
    await files.segment.append([bodyOf('["somebody",1,1,"key","a"')]);
    files.close();
    log.look();
    expect(followed).toMatchObject([{ kind: 'all', lane: null }]);
  });
});

describe('the place up to which L3 has followed the log', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  it('is stored once everything before it is carried out, in the order of the log', async () => {
    const directory = await bench.path('log');
    const clock = new FakeClock();
    const rows: LogRow[] = [];
    const append = (some: readonly LogRow[]): Promise<void> => {
      rows.push(...some);
      return DONE;
    };
    const options = {
      folder: new FolderOnDisk(directory),
      clock,
      life: new LifeClock(clock),
      changed: () => undefined,
    };
    const owner = new HostLog({ ...options, journal: () => ({ initial: EMPTY_LOG, append }), ownsL3: () => true });
    const other = logBesideTheOwner(options);
    const works = [new Deferred<void>(), new Deferred<void>()];
    let followed = 0;
    const apply = (): Promise<void> => works[followed++]?.promise ?? DONE;
    const quiet = { drop: () => DONE, bar: () => undefined };
    await owner.open();
    owner.start({ apply, ...quiet }, undefined);
    await other.open();
    other.start({ apply: () => DONE, ...quiet }, undefined);
    const places: unknown[] = [];
    for (const subject of ['first', 'second']) {
      await other.publish([{ kind: 'key', lane: 'a', subject }], DONE);
      places.push({ row: 'place', ...other.place });
    }
    owner.look();
    const passed = async (): Promise<readonly LogRow[]> => {
      await nextTurn();
      await clock.advance('1s');
      return rows.splice(0).filter(({ row }) => row === 'place');
    };
    await passed();
    works[1]?.resolve();
    expect(await passed()).toEqual([]);
    works[0]?.resolve();
    expect(await passed()).toEqual([places[1]]);
    await Promise.all([owner.close(), other.close()]);
  });
});
