import { beforeEach, describe, expect, it } from '@jest/globals';
import { DeadlineError, KeepAlive, nextTurn, withDeadline } from '../../../../lib/clock/clock.js';
import type { RedisArgument } from '../../../../lib/redis/client/redis-client.js';
import { WatchedPort } from '../../../../lib/redis/client/watched-port.js';
import { FakeClock } from '../../../../lib/testing/fake-clock.js';
import { Deferred } from '../../../support/deferred.js';

const TIMEOUT_MS = 250;
const MEGABYTE = 1024 ** 2;

describe('a connection for commands', () => {
  let clock: FakeClock;
  let asked: string[];
  /** Answers the commands that wait. */
  let answer: Deferred;
  let isConnected: boolean;
  let changes: string[];
  let givenUp: number;
  let watched: WatchedPort;
  beforeEach(() => {
    clock = new FakeClock();
    [asked, changes, isConnected, givenUp, answer] = [[], [], true, 0, new Deferred()];
    const port = {
      command: (args: readonly RedisArgument[], { timeoutMs = Infinity } = {}) => {
        asked.push(String(args[0]));
        return withDeadline(clock, answer.promise, timeoutMs, 'Redis');
      },
      duplicate: () => Promise.reject(new Error('no template')),
      get connected() {
        return isConnected;
      },
      onStateChange: () => () => undefined,
      close: () => Promise.resolve(),
    };
    const changed = (error: Error | undefined): void => void changes.push(error === undefined ? 'in time' : 'late');
    const options = { timeoutMs: TIMEOUT_MS, hold: new KeepAlive(clock), changed };
    watched = new WatchedPort(port, clock, options, () => givenUp++);
  });

  /** A command that is not answered in time. */
  const late = async (commands = 1): Promise<void> => {
    const ended = Array.from({ length: commands }, () =>
      expect(watched.command(['GET'])).rejects.toThrow(DeadlineError),
    );
    await clock.advance(`${TIMEOUT_MS}ms`);
    await Promise.all(ended);
  };

  it('is sound while it is connected', () => {
    expect(watched.isSound).toBe(true);
    isConnected = false;
    expect(watched.isSound).toBe(false);
  });

  it('asks one question at a time whether a silent server answers, and gives it up after a second', async () => {
    await late(2);
    expect(asked).toEqual(['GET', 'GET', 'PING']);
    await clock.advance('749ms');
    expect([givenUp, changes]).toEqual([0, ['late']]);
    await clock.advance('1ms');
    expect([givenUp, asked.filter((command) => command === 'PING').length]).toEqual([1, 3]);
    await clock.advance('1m');
    expect(asked).toHaveLength(5);
  });

  it('reports nothing once it is closed, and has no timer left', async () => {
    await late();
    await watched.close();
    answer.resolve('PONG');
    await nextTurn();
    expect([watched.isSound, changes, clock.pending]).toEqual([false, ['late'], 0]);
  });

  it('is not measured while it is late already, and transfers nothing once it is answered', async () => {
    let measured = 0;
    const read = async (): Promise<void> => {
      const measure = async (): Promise<number> => {
        measured++;
        return 8 * MEGABYTE;
      };
      const ended = expect(watched.read(['GET'], measure)).rejects.toThrow(DeadlineError);
      await clock.advance(`${TIMEOUT_MS}ms`);
      await ended;
    };
    await read();
    expect([measured, watched.isTransferring]).toEqual([1, true]);
    answer.resolve('PONG');
    await nextTurn();
    expect([watched.isSound, watched.isTransferring]).toEqual([true, false]);
    answer = new Deferred();
    await late();
    await read();
    expect([measured, changes]).toEqual([1, ['late']]);
  });

  it('counts for each queue anew how long it takes to be sent', async () => {
    const sent = watched.watchInQueue(Promise.resolve('OK'), 80 * MEGABYTE);
    expect(watched.isTransferring).toBe(true);
    await sent;
    const next = watched.watchInQueue(answer.promise, MEGABYTE);
    expect(watched.isTransferring).toBe(true);
    await clock.advance('200ms');
    expect(watched.isTransferring).toBe(false);
    answer.resolve('OK');
    await next;
  });
});
