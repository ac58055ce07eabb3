import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  appendFileSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { FolderOnDisk, LogFiles } from '../../../../lib/storage/files/log-files.js';
import { StorageBench } from '../../../support/storage.js';

describe('the log of a directory', () => {
  const bench = new StorageBench();
  const opened: LogFiles[] = [];
  let directory: string;

  beforeEach(async () => (directory = await bench.path('log')));
  afterEach(async () => {
    for (const files of opened.splice(0)) files.close();
    await bench.dispose();
  });

  const open = async (): Promise<LogFiles> => {
    const files = await LogFiles.open(new FolderOnDisk(directory));
    opened.push(files);
    return files;
  };

  /** What is new to `files`, and how following ended. */
  const read = (files: LogFiles): { readonly bodies: readonly string[]; readonly end: string } => {
    const bodies: string[] = [];
    const end = files.follow(
      (body) => bodies.push(body),
      () => undefined,
    );
    return { bodies, end };
  };

  const fileOf = (number: number): string => join(directory, `${number}.log`);

  it('hands a record to every process, once and in order', async () => {
    const [one, other] = [await open(), await open()];
    await one.segment.append(['a', 'b']);
    await other.segment.append(['c']);
    expect(read(one)).toEqual({ bodies: ['a', 'b', 'c'], end: 'end' });
    expect(read(other)).toEqual({ bodies: ['a', 'b', 'c'], end: 'end' });
    expect(read(one)).toEqual({ bodies: [], end: 'end' });
  });

  it('is for this user alone', async () => {
    await open();
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(statSync(fileOf(1)).mode & 0o777).toBe(0o600);
  });

  it('begins at its end for a process that comes late', async () => {
    const one = await open();
    await one.segment.append(['before']);
    const late = await open();
    await one.segment.append(['after']);
    expect(read(late).bodies).toEqual(['after']);
  });

  it.each([
    ['half a record', (record: Buffer) => record.subarray(0, record.length - 3)],
    ['the head of a record', (record: Buffer) => record.subarray(0, 4)],
    ['a record of another log', (record: Buffer) => Buffer.concat([record.subarray(0, 6), Buffer.from('!!!!!!')])],
    ['zeros, as a power cut leaves them', () => Buffer.alloc(300)],
    ['a huge length', () => Buffer.from('LR\xff\xff\xff\xff', 'latin1')],
    ['any bytes', () => Buffer.from(Array.from({ length: 500 }, (_, n) => (n * 151 + 7) % 256))],
  ])('steps over %s', async (_, damage) => {
    const [one, other] = [await open(), await open()];
    await one.segment.append(['a record']);
    const record = readFileSync(fileOf(1)).subarray(48);
    appendFileSync(fileOf(1), damage(record));
    expect(read(other)).toEqual({ bodies: ['a record'], end: 'end' });
    await one.segment.append(['the next one']);
    expect(read(other)).toEqual({ bodies: ['the next one'], end: 'end' });
    expect(read(await open())).toEqual({ bodies: [], end: 'end' });
  });

  it('takes no text for a record', async () => {
    const [one, other] = [await open(), await open()];
    await one.segment.append(['inner']);
    const record = readFileSync(fileOf(1)).subarray(48).toString('latin1');
    rmSync(directory, { recursive: true });
    const [third, fourth] = [await open(), await open()];
    await third.segment.append([`outer ${record}`]);
    appendFileSync(fileOf(1), Buffer.from(record, 'latin1'));
    await third.segment.append(['last']);
    expect(read(fourth).bodies).toEqual([Buffer.from(`outer ${record}`).toString(), 'last']);
    expect(read(other).end).toBe('end');
  });

  it('reads records that are larger than what it reads at once', async () => {
    const [one, other] = [await open(), await open()];
    const large = 'x'.repeat(300_000);
    await one.segment.append(['a', large, 'b']);
    expect(read(other).bodies).toEqual(['a', large, 'b']);
  });

  it('goes on in another segment, for those who wrote and those who only follow', async () => {
    const [one, other] = [await open(), await open()];
    await one.segment.append(['a']);
    await one.segment.rotate();
    await other.segment.append(['behind the end, so it does not count']);
    expect(read(one)).toEqual({ bodies: ['a'], end: 'end' });
    await one.segment.append(['b']);
    expect(read(other)).toEqual({ bodies: ['a', 'b'], end: 'end' });
    expect([one.segment.number, other.segment.number]).toEqual([2, 2]);
    read(one);
    expect((await open()).place).toEqual(one.place);
  });

  it('keeps two old segments', async () => {
    const one = await open();
    for (let n = 0; n < 6; n++) {
      await one.segment.rotate();
      read(one);
    }
    expect(readdirSync(directory).toSorted()).toEqual(['5.log', '6.log', '7.log']);
  });

  it('has lost its history where the last record is another one', async () => {
    const [one, other] = [await open(), await open()];
    await one.segment.append(['a', 'b']);
    read(other);
    const bytes = readFileSync(fileOf(1));
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
    writeFileSync(fileOf(1), bytes);
    expect(read(other).end).toBe('lost');
  });

  it('has lost its history where the file became shorter', async () => {
    const [one, other] = [await open(), await open()];
    await one.segment.append(['a', 'b']);
    read(other);
    truncateSync(fileOf(1), 60);
    expect(read(other).end).toBe('lost');
  });

  it('has lost its history for all once one declares it void', async () => {
    const [one, other, ahead] = [await open(), await open(), await open()];
    await one.segment.append(['a']);
    read(one);
    await one.segment.rotate();
    read(ahead);
    expect(ahead.segment.number).toBe(2);
    const before = one.place.generation;
    one.void();
    expect(one.place.generation).not.toBe(before);
    expect([read(other).end, read(ahead).end]).toEqual(['lost', 'lost']);
    other.attach();
    ahead.attach();
    await one.segment.append(['of the new history']);
    expect([read(other).bodies, read(ahead).bodies]).toEqual([['of the new history'], ['of the new history']]);
  });

  it('knows that it was replaced by another directory', async () => {
    const one = await open();
    expect(one.segment.isInPlace).toBe(true);
    renameSync(directory, `${directory}.old`);
    expect(one.segment.isInPlace).toBe(false);
    await open();
    expect(one.segment.isInPlace).toBe(false);
    rmSync(`${directory}.old`, { recursive: true });
  });

  describe('from a place on', () => {
    const replayed = (files: LogFiles, place: LogFiles['place']): readonly string[] | false => {
      const bodies: string[] = [];
      return files.replay(place, (body) => bodies.push(body)) && bodies;
    };

    it('is read again over several segments', async () => {
      const one = await open();
      await one.segment.append(['a']);
      read(one);
      const { place } = one;
      for (const body of ['b', 'c']) {
        await one.segment.append([body]);
        await one.segment.rotate();
        read(one);
      }
      expect(replayed(await open(), place)).toEqual(['b', 'c']);
    });

    it.each([
      ['of another history', { generation: '0'.repeat(32) }],
      ['with another record before it', { checksum: 1 }],
      ['beyond the end', { position: 1e9 }],
      ['inside a record', { position: 3 }],
    ])('is unknown for a place %s', async (_, other) => {
      const one = await open();
      await one.segment.append(['a']);
      read(one);
      expect(replayed(one, { ...one.place, ...other })).toBe(false);
    });

    it('is unknown once its segment is gone', async () => {
      const one = await open();
      const { place } = one;
      for (let n = 0; n < 5; n++) {
        await one.segment.rotate();
        read(one);
      }
      expect(replayed(one, place)).toBe(false);
    });
  });

  it.each([
    ['is empty', () => Buffer.alloc(0)],
    ['has half a header', (header: Buffer) => header.subarray(0, 30)],
    ['has a damaged header', (header: Buffer) => Buffer.from(header).fill(1, 20, 30)],
    ['is something else', () => Buffer.from('# a file of somebody else that is long enough for a header\n')],
  ])('begins a new history where its newest segment %s', async (_, damage) => {
    const before = (await open()).place.generation;
    writeFileSync(fileOf(1), damage(readFileSync(fileOf(1))));
    const next = await open();
    expect(next.place.generation).not.toBe(before);
    expect(next.segment.number).toBe(2);
  });

  it('is refused where a later release has written it', async () => {
    await open();
    const bytes = readFileSync(fileOf(1));
    bytes.writeUInt32LE(2, 12);
    writeFileSync(fileOf(1), bytes);
    await expect(open()).rejects.toMatchObject({ code: 'FORMAT_UNSUPPORTED' });
  });
});
