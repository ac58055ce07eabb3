import { describe, expect, it } from '@jest/globals';
import { nextTurn, KeepAlive } from '../../../../lib/clock/clock.js';
import { Connection } from '../../../../lib/redis/client/connection.js';
import type { RedisPort } from '../../../../lib/redis/client/redis-client.js';
import { FakeClock } from '../../../../lib/testing/fake-clock.js';

/** A server that answers each command with an error. */
function refusing(text: string): RedisPort {
  const port: RedisPort = {
    command: () => Promise.reject(new Error(text)),
    duplicate: () => Promise.resolve(port),
    connected: true,
    onStateChange: () => () => undefined,
    close: () => Promise.resolve(),
  };
  return port;
}

const settingsOf = (clock: FakeClock) => ({ timeoutMs: 250, hold: new KeepAlive(clock), changed: () => undefined });

/** What becomes of a connection when a command is answered with the error. */
async function after(error: string): Promise<'failed' | 'used on'> {
  const clock = new FakeClock();
  const connection = await Connection.open(refusing(error), clock, settingsOf(clock));
  let state: 'failed' | 'used on' = 'used on';
  const watch = async (): Promise<void> => {
    try {
      await connection.failure;
    } catch {
      state = 'failed';
    }
  };
  void watch();
  await expect(connection.command(['GET', 'k'])).rejects.toThrow(error);
  await nextTurn();
  return state;
}

describe('a connection', () => {
  it.each([
    'MOVED 3999 127.0.0.1:6381',
    'ASK 3999 127.0.0.1:6381',
    'TRYAGAIN Multiple keys request during rehashing of slot',
    'CLUSTERDOWN The cluster is down',
    "READONLY You can't write against a read only replica.",
    'MASTERDOWN Link with MASTER is down',
  ])('is not used again once its node says that it does not serve the log: %s', async (error) => {
    expect(await after(error)).toBe('failed');
  });

  it.each([
    "OOM command not allowed when used memory > 'maxmemory'.",
    'WRONGTYPE Operation against a key',
    'MOVEDLIKE',
  ])('is used on after another error: %s', async (error) => {
    expect(await after(error)).toBe('used on');
  });

  it('is not sound once it has failed', async () => {
    const clock = new FakeClock();
    const connection = await Connection.open(refusing('OOM'), clock, settingsOf(clock));
    expect(connection.isSound).toBe(true);
    connection.fail(new Error('of the reader'));
    expect(connection.isSound).toBe(false);
    await expect(connection.failure).rejects.toThrow('of the reader');
  });

  it('has failed where it was lost before it was used', async () => {
    const port = { ...refusing('OOM'), connected: false };
    const template = { ...port, duplicate: () => Promise.resolve(port) };
    const clock = new FakeClock();
    const connection = await Connection.open(template, clock, settingsOf(clock));
    await expect(connection.failure).rejects.toThrow('was lost');
  });

  it('closes the one of its two that was opened where the other one was refused', async () => {
    let closed = 0;
    const port = { ...refusing('OOM'), close: async () => void closed++ };
    const opening = [Promise.resolve(port), Promise.reject(new Error('refused'))].values();
    const template = { ...port, duplicate: () => opening.next().value ?? Promise.resolve(port) };
    const clock = new FakeClock();
    await expect(Connection.open(template, clock, settingsOf(clock))).rejects.toThrow('refused');
    await nextTurn();
    expect(closed).toBe(1);
  });
});
