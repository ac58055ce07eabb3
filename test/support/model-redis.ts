import { createHash } from 'node:crypto';
import { compile, LuaError, LuaTable, textual, toNumber, type LuaFunction, type LuaValue } from './lua.js';

/** As a client gets it: bulk texts as bytes. */
export type Reply = null | number | string | Buffer | readonly Reply[];

interface StreamEntry {
  readonly id: readonly [number, number];
  readonly fields: readonly string[];
}

interface Stream {
  readonly entries: StreamEntry[];
  last: readonly [number, number];
}

type Stored = string | Map<string, string> | ZSet | Stream;
class ZSet extends Map<string, number> {
  get ranked(): readonly (readonly [string, number])[] {
    return [...this].toSorted((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1));
  }
}

/** Everything that survives a restart, or does not. */
export type Data = ReadonlyMap<string, { readonly value: Stored; readonly expiresAt: number }>;

/** What a command within a script gives: bytes as texts of one character each, and 'OK' as a status. */
type Inner = null | number | string | { readonly status: string } | readonly Inner[];

export class ReplyError extends Error {}

/** A server that knows the commands of the scripts, and runs the scripts themselves. It is one step at a time. */
export class ModelRedis {
  /** Writes are refused for want of memory. */
  isFull = false;
  /** What scripts broke off with. */
  readonly faults: string[] = [];
  /** How often an instance has asked for the state of the log. */
  handshakes = 0;
  private run = 1;
  /** The script that runs has written: a full server refuses only the first write. */
  private hasWritten = false;
  private data = new Map<string, { value: Stored; expiresAt: number }>();
  private readonly scripts = new Map<string, (globals: Readonly<Record<string, LuaValue>>) => LuaValue>();
  private readonly compiled = new Map<string, (globals: Readonly<Record<string, LuaValue>>) => LuaValue>();

  constructor(private readonly now: () => number) {}

  get names(): readonly string[] {
    return [...this.data.keys()];
  }

  /** A copy, as a replica or a file would have it. */
  get copy(): Data {
    return structuredClonedOf(this.data);
  }

  /** Comes up again with that. */
  restart(data: Data): void {
    this.run++;
    this.scripts.clear();
    this.data = structuredClonedOf(data);
  }

  /** The name moves to another server of a cluster. */
  give(name: string, to: ModelRedis): void {
    const found = this.data.get(name);
    if (found === undefined) return;
    to.data.set(name, { ...found, value: copyOf(found.value) });
    this.data.delete(name);
  }

  evict(name: string): void {
    this.data.delete(name);
  }

  /** Lets go of the oldest records of a stream, as its bound does. */
  trim(name: string, keep: number): void {
    const stream = this.find(name);
    if (isStream(stream)) stream.entries.splice(0, Math.max(0, stream.entries.length - keep));
  }

  /** Throws ReplyError for what the server answers with an error. */
  execute(args: readonly Buffer[]): Reply {
    const [command = '', ...rest] = args.map((one) => one.toString('latin1'));
    if (command === 'SCRIPT') {
      this.learn(rest[1] ?? '');
      return Buffer.from('known');
    }
    if (command === 'EVAL') return this.eval(this.learn(rest[0] ?? ''), rest.slice(1));
    if (command === 'EVALSHA') {
      const script = this.scripts.get(rest[0] ?? '');
      if (script === undefined) throw new ReplyError('NOSCRIPT No matching script.');
      return this.eval(script, rest.slice(1));
    }
    return outer(this.command(command, rest));
  }

  private learn(latin: string): (globals: Readonly<Record<string, LuaValue>>) => LuaValue {
    const hash = createHash('sha1').update(Buffer.from(latin, 'latin1')).digest('hex');
    const script = this.compiled.get(hash) ?? compile(latin);
    this.compiled.set(hash, script);
    this.scripts.set(hash, script);
    return script;
  }

  private eval(script: (globals: Readonly<Record<string, LuaValue>>) => LuaValue, args: readonly string[]): Reply {
    const keys = Number(args[0]);
    this.hasWritten = false;
    const call: LuaFunction = (name, ...given) => [
      luaOf(
        this.command(
          textual(name),
          given.map((one) => textual(one)),
        ),
      ),
    ];
    const pcall: LuaFunction = (...given) => {
      try {
        return call(...given);
      } catch (error) {
        const table = new LuaTable();
        table.set('err', String(error));
        return [table];
      }
    };
    const given = { KEYS: LuaTable.of(args.slice(1, keys + 1)), ARGV: LuaTable.of(args.slice(keys + 1)) };
    try {
      return replyOf(script({ ...LIBRARY, ...given, redis: tableOf({ call, pcall }) }));
    } catch (error) {
      if (!(error instanceof LuaError)) throw error;
      this.faults.push(error.message);
      throw new ReplyError(`ERR ${error.message}`);
    }
  }

  private find(name: string): Stored | undefined {
    const found = this.data.get(name);
    if (found === undefined || found.expiresAt > this.now()) return found?.value;
    this.data.delete(name);
    return undefined;
  }

  private hash(name: string): Map<string, string> | undefined {
    const value = this.find(name);
    if (value === undefined) return undefined;
    if (value instanceof Map && !(value instanceof ZSet)) return value;
    throw WRONG_TYPE;
  }

  private zset(name: string): ZSet | undefined {
    const value = this.find(name);
    if (value === undefined || value instanceof ZSet) return value;
    throw WRONG_TYPE;
  }

  private stream(name: string): Stream | undefined {
    const value = this.find(name);
    if (value === undefined || isStream(value)) return value;
    throw WRONG_TYPE;
  }

  private make<T extends Stored>(name: string, found: T | undefined, fresh: T): T {
    if (this.isFull && !this.hasWritten) throw new ReplyError('OOM command not allowed when used memory > maxmemory.');
    this.hasWritten = true;
    if (found !== undefined) return found;
    this.data.set(name, { value: fresh, expiresAt: Infinity });
    return fresh;
  }

  command(command: string, args: readonly string[]): Inner {
    const [name = '', ...rest] = args;
    switch (command) {
      case 'GET':
        return this.text(name);
      case 'STRLEN':
        return (this.text(name) ?? '').length;
      case 'GETRANGE':
        return (this.text(name) ?? '').slice(Number(rest[0]), Number(rest[1]) + 1);
      case 'MGET':
        return args.map((one) => {
          const value = this.find(one);
          return typeof value === 'string' ? value : null;
        });
      case 'SET':
        return this.put(name, rest);
      case 'DEL':
        return args.filter((one) => this.find(one) !== undefined && this.data.delete(one)).length;
      case 'PING':
        return { status: 'PONG' };
      case 'PTTL':
        return this.lifeLeft(name);
      case 'PEXPIRE':
        return this.expire(name, Number(rest[0]));
      case 'INFO':
        this.handshakes++;
        return `# Server\r\nrun_id:run${this.run}\r\n`;
      case 'TIME':
        return [`${Math.floor(this.now() / 1_000)}`, `${(this.now() % 1_000) * 1_000}`];
      default:
        return this.structured(command, name, rest);
    }
  }

  private structured(command: string, name: string, rest: readonly string[]): Inner {
    switch (command) {
      case 'HGET':
        return this.hash(name)?.get(rest[0] ?? '') ?? null;
      case 'HMGET': {
        const hash = this.hash(name);
        return rest.map((field) => hash?.get(field) ?? null);
      }
      case 'HSET': {
        const hash = this.make(name, this.hash(name), new Map<string, string>());
        for (let at = 0; at < rest.length; at += 2) hash.set(rest[at] ?? '', rest[at + 1] ?? '');
        return rest.length / 2;
      }
      case 'HDEL':
        this.hasWritten = true;
        return this.hash(name)?.delete(rest[0] ?? '') === true ? 1 : 0;
      case 'HINCRBY': {
        const hash = this.make(name, this.hash(name), new Map<string, string>());
        const value = Number(hash.get(rest[0] ?? '') ?? 0) + Number(rest[1]);
        hash.set(rest[0] ?? '', `${value}`);
        return value;
      }
      case 'XADD':
        return this.append(name, rest);
      case 'XRANGE':
        return this.stream(name)?.entries.slice(0, 1).map(innerEntry) ?? [];
      case 'XREVRANGE':
        return this.stream(name)?.entries.slice(-1).map(innerEntry) ?? [];
      case 'XREAD':
        return this.readStreams([name, ...rest]);
      default:
        return this.sorted(command, name, rest);
    }
  }

  private sorted(command: string, name: string, rest: readonly string[]): Inner {
    const zset = this.zset(name);
    switch (command) {
      case 'ZSCORE':
        return scoreOf(zset?.get(rest[0] ?? ''));
      case 'ZADD': {
        const into = this.make(name, zset, new ZSet());
        into.set(rest[1] ?? '', toNumber((rest[0] ?? '').replace('+', '')) ?? Number.NaN);
        return 1;
      }
      case 'ZCARD':
        return zset?.size ?? 0;
      case 'ZRANGE':
        return (zset?.ranked ?? [])
          .slice(0, Number(rest[1]) + 1)
          .flatMap(([member, score]) => [member, scoreOf(score)]);
      case 'ZREMRANGEBYRANK':
        for (const [member] of (zset?.ranked ?? []).slice(0, Number(rest[1]) + 1)) zset?.delete(member);
        return null;
      case 'ZRANGEBYSCORE': {
        const above = toNumber((rest[0] ?? '').slice(1)) ?? Number.NaN;
        const found = (zset?.ranked ?? []).filter(([, score]) => score > above && score < Infinity);
        return found.flatMap(([member, score]) => [member, scoreOf(score)]);
      }
      default:
        throw new ReplyError(`ERR unknown command '${command}'`);
    }
  }

  private text(name: string): string | null {
    const value = this.find(name);
    if (value !== undefined && typeof value !== 'string') throw WRONG_TYPE;
    return value ?? null;
  }

  private put(name: string, [value = '', ...options]: readonly string[]): Inner {
    if (this.isFull) throw new ReplyError('OOM command not allowed when used memory > maxmemory.');
    if (options.includes('NX') && this.find(name) !== undefined) return null;
    const life = Number(options[options.indexOf('PX') + 1]);
    this.data.set(name, { value, expiresAt: this.now() + life });
    return { status: 'OK' };
  }

  private lifeLeft(name: string): number {
    if (this.find(name) === undefined) return -2;
    const { expiresAt = 0 } = this.data.get(name) ?? {};
    return expiresAt === Infinity ? -1 : expiresAt - this.now();
  }

  private expire(name: string, ms: number): number {
    const found = this.data.get(name);
    if (this.find(name) === undefined || found === undefined) return 0;
    found.expiresAt = this.now() + ms;
    return 1;
  }

  /** `MAXLEN ~ count id field value …` */
  private append(name: string, [, , count = '', id = '', ...fields]: readonly string[]): string {
    const stream = this.make<Stream>(name, this.stream(name), { entries: [], last: [0, 0] });
    const [first = 0, second = 0] = id === '*' ? [stream.last[0], stream.last[1] + 1] : id.split('-').map(Number);
    if (first < stream.last[0] || (first === stream.last[0] && second <= stream.last[1]))
      throw new ReplyError('ERR The ID specified in XADD is equal or smaller than the target stream top item');
    stream.last = [first, second];
    stream.entries.push({ id: stream.last, fields });
    this.trim(name, Number(count));
    return `${first}-${second}`;
  }

  /** Nothing where nothing was appended behind it. A blocked reader asks again. */
  private readStreams(args: readonly string[]): Inner {
    const names = args.slice(args.indexOf('STREAMS') + 1);
    const half = names.length / 2;
    const count = args.includes('COUNT') ? Number(args[args.indexOf('COUNT') + 1]) : Infinity;
    const found = names.slice(0, half).map((name, at): Inner => {
      const [first = 0, second = 0] = (names[half + at] ?? '').split('-').map(Number);
      const entries = this.stream(name)?.entries ?? [];
      const behind = entries.filter(({ id }) => id[0] > first || (id[0] === first && id[1] > second));
      return behind.length === 0 ? null : [name, behind.slice(0, count).map(innerEntry)];
    });
    const some = found.filter((one) => one !== null);
    return some.length === 0 ? null : some;
  }
}

const WRONG_TYPE = new ReplyError('WRONGTYPE Operation against a key holding the wrong kind of value');

const isStream = (value: Stored | undefined): value is Stream =>
  typeof value === 'object' && 'entries' in value && 'last' in value;
const innerEntry = ({ id, fields }: StreamEntry): Inner => [id.join('-'), fields];
const scoreOf = (score: number | undefined): string | null => (score === undefined ? null : textual(score));

function structuredClonedOf(data: Data): Map<string, { value: Stored; expiresAt: number }> {
  return new Map([...data].map(([name, { value, expiresAt }]) => [name, { value: copyOf(value), expiresAt }]));
}

function copyOf(value: Stored): Stored {
  if (typeof value === 'string') return value;
  if (value instanceof ZSet) return new ZSet(value);
  if (value instanceof Map) return new Map(value);
  return { entries: [...value.entries], last: value.last };
}

function outer(inner: Inner): Reply {
  if (typeof inner === 'string') return Buffer.from(inner, 'latin1');
  if (inner === null || typeof inner === 'number') return inner;
  return 'status' in inner ? inner.status : inner.map(outer);
}

function luaOf(inner: Inner): LuaValue {
  if (inner === null) return false;
  if (typeof inner !== 'object') return inner;
  return 'status' in inner ? tableOf({ ok: inner.status }) : LuaTable.of(inner.map(luaOf));
}

function replyOf(value: LuaValue): Reply {
  if (typeof value === 'number') return Math.trunc(value);
  if (typeof value === 'string') return Buffer.from(value, 'latin1');
  if (value instanceof LuaTable) return value.list.map(replyOf);
  return value === true ? 1 : null;
}

function tableOf(fields: Readonly<Record<string, LuaValue>>): LuaTable {
  const table = new LuaTable();
  for (const [name, value] of Object.entries(fields)) table.set(name, value);
  return table;
}

/** What a script finds beside KEYS, ARGV and redis. */
const LIBRARY: Readonly<Record<string, LuaValue>> = {
  tonumber: (value) => [toNumber(value)],
  type: (value) => [value instanceof LuaTable ? 'table' : typeof value],
  unpack: (table, from = 1) => (table instanceof LuaTable ? table.list.slice(Number(from) - 1) : []),
  pcall: (called, ...args) => {
    try {
      return typeof called === 'function' ? [true, ...called(...args)] : [false];
    } catch (error) {
      if (!(error instanceof LuaError) && !(error instanceof ReplyError)) throw error;
      return [false, error.message];
    }
  },
  math: tableOf({
    max: (...numbers) => [Math.max(...numbers.map((one) => toNumber(one) ?? Number.NaN))],
    floor: (number) => [Math.floor(toNumber(number) ?? Number.NaN)],
  }),
  string: tableOf({
    match: (text, pattern) => {
      const match = new RegExp(textual(pattern).replaceAll('%w', '[A-Za-z0-9]').replaceAll('%d', '\\d')).exec(
        textual(text),
      );
      return [match?.[1] ?? match?.[0]];
    },
    byte: (text, at) => [textual(text).charCodeAt(Number(at) - 1)],
    sub: (text, from, to) => [textual(text).slice(Number(from) - 1, Number(to))],
  }),
  struct: tableOf({
    pack: (format, first, second, size) => {
      if (format !== '>ddI4') throw new LuaError('another format');
      const bytes = Buffer.alloc(20);
      bytes.writeDoubleBE(toNumber(first) ?? Number.NaN, 0);
      bytes.writeDoubleBE(toNumber(second) ?? Number.NaN, 8);
      bytes.writeUInt32BE(toNumber(size) ?? 0, 16);
      return [bytes.toString('latin1')];
    },
    unpack: (format, text, from = 1) => {
      const bytes = Buffer.from(textual(text), 'latin1').subarray(Number(from) - 1);
      if (format === '>d') return [bytes.readDoubleBE(0)];
      if (format === '>ddI4') return [bytes.readDoubleBE(0), bytes.readDoubleBE(8), bytes.readUInt32BE(16)];
      const length = bytes.length < 2 ? Infinity : bytes.readUInt16BE(0);
      if (format !== '>I2c0' || bytes.length < 2 + length) throw new LuaError('data string too short');
      return [bytes.subarray(2, 2 + length).toString('latin1'), Number(from) + 2 + length];
    },
  }),
};
