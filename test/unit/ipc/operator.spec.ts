import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { systemClock } from '../../../lib/clock/clock.js';
import { UnknownLaneError } from '../../../lib/errors/cache.errors.js';
import { CheckpointConflictError, CheckpointDamagedError } from '../../../lib/errors/checkpoint.errors.js';
import { isLaneCacheError, LaneCacheError } from '../../../lib/errors/lane-cache.error.js';
import { carry, unpack, FrameReader, encodeMessage, hello } from '../../../lib/ipc/protocol.js';
import { type Answers, IpcServer } from '../../../lib/ipc/server.js';
import { ConnectionLost, IpcConnection, OwnerSilent } from '../../../lib/ipc/client.js';
import { readableJson } from '../../../lib/operations/readable-json.js';
import { StorageFault } from '../../../lib/storage/environment.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { Gate } from '../../support/gate.js';
import { StorageBench } from '../../support/storage.js';

const framed = (body: Uint8Array): Buffer => {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(body.length);
  return Buffer.concat([header, body]);
};

describe('messages in frames', () => {
  it('arrive whole, however the stream is cut', () => {
    const bodies = fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 });
    fc.assert(
      fc.property(bodies, fc.array(fc.integer({ min: 1, max: 20 })), (sent, cuts) => {
        const stream = Buffer.concat(sent.map(framed));
        const reader = new FrameReader();
        const heard: Uint8Array[] = [];
        let at = 0;
        for (const cut of [...cuts, stream.length]) {
          reader.push(stream.subarray(at, at + cut), (body) => heard.push(Uint8Array.from(body)));
          at += cut;
        }
        expect(heard).toEqual(sent);
      }),
    );
  });

  it('are refused by their length alone when they are too large', () => {
    expect(() => new FrameReader().push(Buffer.from([0x7f, 0xff, 0xff, 0xff]), () => undefined)).toThrow('announced');
  });
});

describe('errors on their way to another process', () => {
  it.each([
    new UnknownLaneError('nope', ['docs']),
    new CheckpointConflictError('id', 1, 2),
    new CheckpointDamagedError('id', 3, [1, 2]),
    new LaneCacheError('KEY_INVALID', 'text', { lane: 'docs', key: 'k', field: 'f' }),
  ])('keep class, code, text and fields: $code', (error) => {
    const arrived = unpack(carry(error));
    expect(arrived).toBeInstanceOf(error.constructor);
    expect(isLaneCacheError(arrived, error.code)).toBe(true);
    expect([arrived.name, arrived.message]).toEqual([error.name, error.message]);
    expect(Object.entries(arrived)).toEqual(expect.arrayContaining(Object.entries(error)));
  });

  it('keep the fields of a disk error, and the text of every other error', () => {
    expect(unpack(carry(new StorageFault('disk-full', 'full')))).toMatchObject({ kind: 'disk-full', message: 'full' });
    expect(unpack(carry('thrown'))).toMatchObject({ name: 'Error', message: 'thrown' });
  });
});

async function* counting(ended: () => void): AsyncGenerator<number> {
  try {
    for (let n = 0; ; n += 1) yield n;
  } finally {
    ended();
  }
}

describe("the owner's socket", () => {
  const bench = new StorageBench();
  let path: string;
  let server: IpcServer;
  let gate: Gate;
  let stopped: Promise<unknown>;

  beforeEach(async () => {
    path = await bench.path('owner.sock');
    gate = new Gate();
    const controller = new AbortController();
    stopped = once(controller.signal, 'abort');
    const answers: Answers = new Map<string, (args: readonly unknown[]) => Promise<unknown> | AsyncIterable<unknown>>([
      ['echo', (args) => Promise.resolve(args[0])],
      ['fail', () => Promise.reject(new CheckpointConflictError('id', 1, 2))],
      ['function', () => Promise.resolve(() => 1)],
      ['slow', ([answer]) => gate.whenOpen.then(() => answer)],
      ['hang', () => new Promise<never>(() => undefined)],
      ['count', () => counting(() => controller.abort())],
    ]);
    server = await IpcServer.listen(path, answers, systemClock);
  });
  afterEach(async () => {
    await server.close();
    await bench.dispose();
  });

  const open = (): Promise<IpcConnection> => IpcConnection.open(path, systemClock, 5_000);

  it('carries any value there and back', async () => {
    const connection = await open();
    const value = {
      at: new Date(5),
      map: new Map([[1, { deep: [undefined, null, 2n] }]]),
      bytes: Buffer.alloc(3_000_000, 'ab'),
      odd: '\ud800',
    };
    expect(isDeepStrictEqual(await connection.call('echo', value), value)).toBe(true);
    expect(await connection.call('echo')).toBeUndefined();
    connection.close();
  });

  it('carries errors, and calls that there are not', async () => {
    const connection = await open();
    await expect(connection.call('fail')).rejects.toBeInstanceOf(CheckpointConflictError);
    await expect(connection.call('nothing')).rejects.toThrow("There is no 'nothing'");
    await expect(connection.call('function')).rejects.toThrow('cannot be sent');
    await expect(connection.call('echo', () => 1)).rejects.toThrow('cannot be sent');
    expect(await connection.call('echo', 'still talking')).toBe('still talking');
    connection.close();
  });

  it('sends answers in parts, and stops when the client disconnects', async () => {
    const connection = await open();
    const heard: number[] = [];
    for await (const part of connection.parts<number>('count')) if (heard.push(part) === 5) break;
    expect(heard).toEqual([0, 1, 2, 3, 4]);
    await stopped;
    await expect(connection.parts('fail').next()).rejects.toBeInstanceOf(CheckpointConflictError);
    connection.close();
  });

  it('sends the answers of pending calls before it closes', async () => {
    const connection = await open();
    const slow = connection.call('slow', 'an answer');
    await connection.call('echo');
    const closing = server.close();
    gate.open();
    expect(await slow).toBe('an answer');
    await closing;
  });

  it('informs pending calls when it closes', async () => {
    const connection = await open();
    const hanging = connection.call('hang');
    await connection.call('echo');
    const [outcome] = await Promise.allSettled([hanging, server.close()]);
    expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(ConnectionLost) });
    expect(connection.isOpen).toBe(false);
    await expect(connection.call('echo')).rejects.toBeInstanceOf(ConnectionLost);
    await expect(open()).rejects.toBeInstanceOf(ConnectionLost);
  });

  it('disconnects a client with an unknown protocol, and keeps serving the others', async () => {
    const connection = await open();
    const strange = [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      framed(Buffer.from('nonsense')),
      framed(Buffer.alloc(0)),
      Buffer.from([0xff, 0xff, 0xff, 0xff]),
    ];
    for (const bytes of strange) {
      const socket = connect(path).resume();
      socket.on('error', () => undefined);
      socket.write(bytes);
      await once(socket, 'close');
    }
    expect(await connection.call('echo', 1)).toBe(1);
    connection.close();
  });
});

describe('asking an owner', () => {
  const bench = new StorageBench();
  let other: Server | undefined;
  afterEach(async () => {
    other?.close();
    await bench.dispose();
  });

  const standIn = async (answer: Uint8Array | undefined): Promise<string> => {
    const path = await bench.path('owner.sock');
    other = createServer((socket) => {
      socket.on('error', () => undefined);
      if (answer !== undefined) socket.write(framed(answer));
      socket.unref();
    }).listen(path);
    await once(other, 'listening');
    return path;
  };

  it('is abandoned when the handshake takes too long', async () => {
    const clock = new FakeClock();
    const opening = IpcConnection.open(await standIn(undefined), clock, 1_000);
    const [outcome] = await Promise.allSettled([opening, clock.advance('2s')]);
    expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(OwnerSilent) });
  });

  it('reports an owner with another protocol version', async () => {
    const path = await standIn(encodeMessage({ ...hello(), protocol: 99 }));
    await expect(IpcConnection.open(path, systemClock, 5_000)).rejects.toThrow('another protocol (99, not 2)');
  });
});

describe('a state for a person to read', () => {
  it('has words for what JSON has none for', () => {
    const loop: Record<string, unknown> = { name: 'loop' };
    loop['self'] = loop;
    const state = {
      at: new Date(0),
      big: 5n,
      map: new Map([['a', 1]]),
      set: new Set([1]),
      bytes: Buffer.from('hi'),
      nan: NaN,
      error: new TypeError('no'),
      loop,
      twice: [1],
      again: [1],
    };
    expect(JSON.parse(readableJson(state))).toEqual({
      at: '1970-01-01T00:00:00.000Z',
      big: '5',
      map: [['a', 1]],
      set: [1],
      bytes: 'aGk=',
      nan: 'NaN',
      error: 'TypeError: no',
      loop: { name: 'loop', self: '[circular]' },
      twice: [1],
      again: [1],
    });
    expect(readableJson(undefined)).toBe('null');
  });
});
