import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { shakeHandsWith, type Handshake } from '../../../../lib/redis/shared-log/subscriber.js';
import { KeySpace } from '../../../../lib/redis/keys.js';
import { EXTEND, GIVE_BACK, TAKE } from '../../../../lib/redis/leases.js';
import { APPEND, APPEND_SET, JUDGE, WRITE } from '../../../../lib/redis/shared-log/scripts.js';
import { type RedisArgument, type RedisPort, listOf, numberOf } from '../../../../lib/redis/client/redis-client.js';
import { keyMember, memberOf, packRecord, packTags } from '../../../../lib/redis/shared-log/record-codec.js';
import { templateClient } from '../../../../lib/redis/client/connect.js';
import type { SharedRecord } from '../../../../lib/invalidation/shared-log.js';
import { describeWithRedis, RedisServer } from '../../../support/redis-server.js';

const TIMEOUT_MS = 60_000;
const LANE = 'docs';

const key = (subject: string): SharedRecord => ({ kind: 'key', lane: LANE, subject });
const tag = (subject: string): SharedRecord => ({ kind: 'tag', lane: null, subject });
const pattern = (subject: string): SharedRecord => ({ kind: 'pattern', lane: LANE, subject });

/** The log of one app, spoken to by hand. */
class Log {
  readonly keys = new KeySpace(randomUUID());
  generation = '';

  constructor(
    private readonly port: RedisPort,
    /** Positions and patterns that are remembered. */
    private readonly bound: number,
  ) {}

  async meet(seen?: { readonly generation: string; readonly sequence: number }): Promise<Handshake> {
    const { keys, port } = this;
    const handshake = await shakeHandsWith(port, {
      keys,
      trustPersistence: false,
      seen,
      patternsKnown: 0,
      timeoutMs: TIMEOUT_MS,
    });
    this.generation = handshake.cursor.generation;
    return handshake;
  }

  /** Its sequence number. `entry`: what a set brings, said by somebody who knew of all up to there. */
  async say(record: SharedRecord, entry: readonly RedisArgument[] = []): Promise<number> {
    const { kind, lane, subject } = record;
    const target =
      lane !== null && (kind === 'key' || kind === 'expire') ? [this.keys.entry(this.generation, lane, subject)] : [];
    const bounds = ['1000', `${this.bound}`, `${this.bound}`];
    const packed = packRecord(this.generation, 'me', record);
    const args = [this.generation, kind, lane ?? '', memberOf(record), packed, ...bounds, ...entry];
    const reply = await (entry.length > 0 ? APPEND_SET : APPEND).run(
      this.port,
      [...this.keys.log, ...target],
      args,
      TIMEOUT_MS,
    );
    return numberOf(listOf(reply)[0]);
  }

  /** `knows`: the newest pattern that was judged. */
  async write(subject: string, birth: number, tags: readonly string[] = [], knows = birth): Promise<unknown> {
    const { keys, generation } = this;
    const about = [LANE, keyMember(LANE, subject), '60000', packTags(tags), 'value'];
    const args: RedisArgument[] = [generation, `${birth}`, `${knows}`, ...about];
    const reply = await WRITE.run(this.port, [...keys.log, keys.entry(generation, LANE, subject)], args, TIMEOUT_MS);
    return Array.isArray(reply) ? 'RETRY' : String(reply);
  }

  async judges(subject: string): Promise<'good' | 'nothing' | 'another generation'> {
    const names = [...this.keys.log, this.keys.entry(this.generation, LANE, subject)];
    const reply = await JUDGE.run(this.port, names, [this.generation, '0', LANE], TIMEOUT_MS);
    if (!Array.isArray(reply)) return 'another generation';
    return listOf(reply)[1] === null ? 'nothing' : 'good';
  }
}

describeWithRedis({ describe }, 'the scripts of the shared log', () => {
  let server: RedisServer;
  let port: RedisPort;
  let log: Log;

  beforeAll(async () => {
    server = await RedisServer.start();
    port = await (await templateClient({ url: server.url })).duplicate();
  });

  beforeEach(async () => {
    log = new Log(port, 4);
    await log.meet();
  });

  afterAll(async () => {
    await port.close();
    await server.dispose();
  });

  it('accept an entry whose birth follows every record that matches it, and nothing else', async () => {
    const at = await log.say(key('k'));
    expect([await log.write('k', at - 1), await log.write('k', at)]).toEqual(['OUTDATED', 'WRITTEN']);
    const tagged = await log.say(tag('t'));
    expect([await log.write('a', tagged - 1, ['t']), await log.write('b', tagged - 1, ['u'])]).toEqual([
      'OUTDATED',
      'WRITTEN',
    ]);
    const cleared = await log.say({ kind: 'all', lane: LANE, subject: '*' });
    expect([await log.write('c', cleared - 1), await log.judges('b')]).toEqual(['OUTDATED', 'nothing']);
  });

  it('take the value of a set, unless it comes behind something that may name it', async () => {
    const knowing = (known: number, patterns: number): RedisArgument[] => {
      return ['60000', packTags(['t']), 'value', `${known}`, `${patterns}`];
    };
    await log.say(key('k'), knowing(0, 0));
    expect(await log.judges('k')).toBe('good');
    await log.say(key('k'), knowing(0, 0));
    expect(await log.judges('k')).toBe('nothing');
    const tagged = await log.say(tag('t'));
    await log.say(key('k'), knowing(tagged - 1, 0));
    expect(await log.judges('k')).toBe('nothing');
    const matched = await log.say(pattern('*'));
    await log.say(key('k'), knowing(matched, 0));
    expect(await log.judges('k')).toBe('nothing');
    await log.say(key('k'), knowing(matched + 1, matched));
    expect(await log.judges('k')).toBe('good');
  });

  it('make the writer match the patterns that it does not know', async () => {
    const at = await log.say(pattern('a*'));
    expect([await log.write('k', at - 1), await log.write('k', at - 1, [], at)]).toEqual(['RETRY', 'WRITTEN']);
  });

  it('trim old positions, and then refuse every entry that these may match', async () => {
    for (const name of ['first', '2', '3', '4', '5']) {
      await log.say(key(name));
      await log.say(tag(name));
    }
    expect([await log.write('first', 0), await log.write('never named', 1)]).toEqual(['OUTDATED', 'OUTDATED']);
    expect([await log.write('tagged', 10), await log.write('tagged', 5, ['first'])]).toEqual(['WRITTEN', 'OUTDATED']);
    expect(await port.command(['ZCARD', log.keys.keys])).toBeLessThanOrEqual(5);
    expect(await port.command(['ZCARD', log.keys.tags])).toBeLessThanOrEqual(5);
    for (const name of ['a*', 'b*', 'c*', 'd*', 'e*']) await log.say(pattern(name));
    expect(await log.judges('tagged')).toBe('nothing');
  });

  it('keep the stream about as long as it was asked for', async () => {
    for (let n = 0; n < 1_500; n++) await log.say(key('k'));
    expect(await port.command(['XLEN', log.keys.stream])).toBeLessThan(1_200);
  });

  it('give entries a life, and a record takes its entry away', async () => {
    expect(await log.write('k', 0)).toBe('WRITTEN');
    const name = log.keys.entry(log.generation, LANE, 'k');
    const life = numberOf(await port.command(['PTTL', name]));
    expect(life > 0 && life <= 60_000).toBe(true);
    expect(await log.judges('k')).toBe('good');
    await log.say(key('k'));
    expect(await port.command(['EXISTS', name])).toBe(0);
  });

  it('take what was put past its ttl for gone', async () => {
    await log.write('k', 0);
    await log.write('tagged', 0, ['t']);
    await log.say({ kind: 'expire', lane: LANE, subject: 'k' });
    expect([await log.judges('k'), await log.judges('tagged')]).toEqual(['nothing', 'good']);
    await log.say({ kind: 'expire', lane: null, subject: 't' });
    expect(await log.judges('tagged')).toBe('nothing');
  });

  it('take nothing, and find nothing good, where a key of the log is gone, until it begins anew', async () => {
    await log.say(tag('t'));
    for (const gone of ['keys', 'tags', 'patterns'] as const) {
      await log.write('k', 5);
      await port.command(['DEL', log.keys[gone]]);
      expect([await log.write('k', 5), await log.judges('k')]).toEqual(['GENERATION', 'another generation']);
      const before = log.generation;
      await log.meet();
      expect(log.generation).not.toBe(before);
      expect(await log.write('k', 5)).toBe('WRITTEN');
    }
  });

  it('take the record of a set without its value where a key of the log is gone', async () => {
    const known = await log.say(tag('t'));
    const entry = ['60000', packTags(['t']), 'value', `${known}`, '0'] as const;
    await log.say(key('k'), entry);
    expect(await log.judges('k')).toBe('good');
    // as a server does that evicts any key when its memory is full
    await port.command(['DEL', log.keys.tags]);
    await log.say(key('k'), ['60000', packTags(['t']), 'value', `${known + 1}`, '0']);
    expect(await port.command(['EXISTS', log.keys.entry(log.generation, LANE, 'k')])).toBe(0);
  });

  it('take each record where the server is full, and no value', async () => {
    await log.say(key('before'));
    await port.command(['CONFIG', 'SET', 'maxmemory', '1']);
    try {
      await expect(log.say(tag('t'))).resolves.toBe(2);
      await expect(log.say(pattern('k*'))).resolves.toBe(3);
      await expect(log.say(key('k'), ['60000', packTags([]), 'value', '3', '3'])).resolves.toBe(4);
      expect(await port.command(['EXISTS', log.keys.entry(log.generation, LANE, 'k')])).toBe(0);
      await expect(log.write('other', 4)).rejects.toThrow('OOM');
    } finally {
      await port.command(['CONFIG', 'SET', 'maxmemory', '0']);
    }
    expect(await port.command(['XLEN', log.keys.stream])).toBe(4);
    await log.say(key('k'), ['60000', packTags([]), 'value', '4', '3']);
    expect(await log.judges('k')).toBe('good');
  });

  it("start a new log where it is behind an instance's position, or was overwritten", async () => {
    await log.say(key('k'));
    const { generation } = log;
    expect((await log.meet({ generation, sequence: 1 })).cursor).toEqual({ generation, sequence: 1 });
    expect((await log.meet({ generation, sequence: 2 })).cursor).toMatchObject({ sequence: 0 });
    const second = log.generation;
    expect(second).not.toBe(generation);
    await port.command(['SET', log.keys.stream, 'a text']);
    await log.meet();
    // the first record shows how much of the stream is left
    await expect(log.say(key('k'))).resolves.toBe(1);
  });

  it('leave a lease to its holder', async () => {
    const name = log.keys.lease(LANE, 'k');
    const run = (script: typeof TAKE, keys: readonly string[], args: readonly string[]): Promise<unknown> =>
      script.run(port, keys, args, TIMEOUT_MS);
    expect(String(await run(TAKE, [name], ['mine', '5000']))).toBe('TAKEN');
    expect(numberOf(await run(TAKE, [name], ['theirs', '5000']))).toBeGreaterThan(0);
    expect(await run(EXTEND, [name], ['theirs', '60000'])).toBe(0);
    expect(numberOf(await port.command(['PTTL', name]))).toBeLessThanOrEqual(5_000);
    expect(await run(GIVE_BACK, [name, log.keys.released], ['theirs', '10'])).toBe(0);
    expect(await port.command(['XLEN', log.keys.released])).toBe(0);
    expect(await run(EXTEND, [name], ['mine', '60000'])).toBe(1);
    expect(numberOf(await port.command(['PTTL', name]))).toBeGreaterThan(5_000);
    expect(await run(GIVE_BACK, [name, log.keys.released], ['mine', '10'])).toBe(1);
    expect([await port.command(['EXISTS', name]), await port.command(['XLEN', log.keys.released])]).toEqual([0, 1]);
  });
});
