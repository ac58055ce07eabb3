import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { systemClock } from '../../lib/clock/clock.js';
import { CacheManager } from '../../lib/index.js';

const DAY_MS = 86_400_000;

afterEach(() => {
  jest.useRealTimers();
});

describe('a time that is too long for one timer of Node', () => {
  it('ends when it has passed, and not at once', () => {
    jest.useFakeTimers();
    const ended = jest.fn();
    systemClock.schedule(60 * DAY_MS, ended);

    jest.advanceTimersByTime(60 * DAY_MS - 1);
    expect(ended).not.toHaveBeenCalled();
    jest.advanceTimersByTime(1);
    expect(ended).toHaveBeenCalledTimes(1);
  });

  it('can be cancelled at each of its parts', () => {
    jest.useFakeTimers();
    const ended = jest.fn();
    const cancels = [0, 1, 30, 59].map((days) => ({ days, cancel: systemClock.schedule(60 * DAY_MS, ended) }));
    for (let day = 0; day <= 60; day++) {
      for (const { days, cancel } of cancels) if (days === day) cancel();
      jest.advanceTimersByTime(DAY_MS);
    }
    expect(ended).not.toHaveBeenCalled();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('is no reason to give up a computation at once', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate'] });
    const cache = await CacheManager.fromSettings({ directory: false });
    let resolve: (value: string) => void = () => undefined;
    const compute = (): Promise<string> => new Promise((resolved) => (resolve = resolved));
    const answer = cache.getOrSet('slow', compute, { hardTimeout: '60d' });

    await jest.advanceTimersByTimeAsync(1_000);
    resolve('computed');
    await expect(answer).resolves.toBe('computed');
    await cache.close();
  });
});
