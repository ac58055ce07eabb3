import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { nextTurn, systemClock } from '../../../lib/clock/clock.js';
import { encodeMessage, FrameReader, hello, writeFrame } from '../../../lib/ipc/protocol.js';
import { type Answer, IpcServer } from '../../../lib/ipc/server.js';
import { socketAddress } from '../../../lib/ipc/socket.js';
import { until } from '../../support/gate.js';
import { StorageBench } from '../../support/storage.js';

const PART = 'x'.repeat(64 * 1024);
const PARTS = 500;

describe('a client that does not read', () => {
  const bench = new StorageBench();
  let server: IpcServer;
  let socket: Socket;
  let made: number;

  async function* parts(): AsyncGenerator<string> {
    for (made = 0; made < PARTS; made++) yield PART;
  }

  beforeEach(async () => {
    made = 0;
    const path = await bench.path('owner.sock');
    const answers = new Map<string, Answer>([
      ['parts', () => parts()],
      ['whole', async () => PART],
    ]);
    server = await IpcServer.listen(path, answers, systemClock);
    socket = connect(socketAddress(path));
    await once(socket, 'connect');
    writeFrame(socket, encodeMessage(hello()));
  });
  afterEach(async () => {
    socket.destroy();
    await server.close();
    await bench.dispose();
  });

  const ask = (id: number, call: string): boolean => writeFrame(socket, encodeMessage({ id, call, args: [] }));

  const turns = async (count: number): Promise<void> => {
    for (let turn = 0; turn < count; turn++) await nextTurn();
  };

  /** Reads until so many messages have come. */
  const read = (count: number): Promise<void> =>
    new Promise((resolve) => {
      const reader = new FrameReader();
      let left = count;
      socket.on('data', (piece) => reader.push(piece, () => --left === 0 && resolve()));
    });

  it('makes the owner keep no more parts of an answer than the connection takes, and gets all of them later', async () => {
    ask(1, 'parts');
    await until(() => made > 0);
    await turns(500);
    expect(made).toBeLessThan(PARTS / 5);
    // The handshake, the parts, and their end.
    await read(1 + PARTS + 1);
    expect(made).toBe(PARTS);
  });

  it('makes the owner wait once, for all its answers', async () => {
    for (let id = 1; id <= 50; id++) ask(id, 'whole');
    await turns(500);
    const waits = [...server['conversations']].map((one) => one['socket'].listenerCount('drain'));
    expect(waits).toEqual([1]);
    await read(1 + 50);
  });

  it('that goes away is forgotten in the middle of an answer', async () => {
    ask(1, 'parts');
    await until(() => made > 0);
    await turns(50);
    socket.destroy();
    await server.close();
    expect(made).toBeLessThan(PARTS / 5);
  });
});
