import { afterEach, describe, expect, it } from '@jest/globals';
import type { Clock } from '../../lib/clock/clock.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { Caches } from '../support/caches.js';

type Reading = () => unknown;
const NO_TIMES: readonly (readonly [string, Reading])[] = [
  ['NaN', () => Number.NaN],
  ['infinity', () => Infinity],
  ['a time that no date shows', () => 1e300],
  ['nothing', () => undefined],
  ['a date', () => new Date(0)],
  ['an error', () => failed()],
];

function failed(): never {
  throw new Error('of the clock');
}

/** A clock of which one reading can be replaced. */
class ReplacedClock extends FakeClock {
  replaced: Partial<Record<'now' | 'monotonic', Reading>> = {};

  override now(): number {
    return this.read('now', super.now());
  }

  override monotonic(): number {
    return this.read('monotonic', super.monotonic());
  }

  private read(name: 'now' | 'monotonic', well: number): number {
    const { [name]: reading } = this.replaced;
    return reading === undefined ? well : (reading() as number);
  }
}

describe('a clock of the app', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  describe.each(['now', 'monotonic'] as const)('whose %s()', (name) => {
    it.each(NO_TIMES)('gives %s at first is refused', async (_what, reading) => {
      const clock = new ReplacedClock();
      clock.replaced = { [name]: reading };
      await expect(caches.open({ clock })).rejects.toMatchObject({
        code: 'OPTIONS_INVALID',
        field: 'clock',
        message: expect.stringContaining(`clock.${name}()`),
      });
    });

    it.each(NO_TIMES)('gives %s for a while stands still meanwhile', async (_what, reading) => {
      const clock: ReplacedClock & Clock = new ReplacedClock();
      const cache = await caches.open({ clock });
      cache.events.on('hit', () => undefined);
      await cache.getOrSet('before', () => 'before', { ttl: '10s' });
      clock.replaced = { [name]: reading };
      expect(await cache.getOrSet('before', () => 'computed again')).toBe('before');
      expect(await cache.getOrSet('meanwhile', () => 'meanwhile', { ttl: '10s' })).toBe('meanwhile');
      expect(await cache.get('meanwhile')).toBe('meanwhile');
      clock.replaced = {};
      expect(await cache.get('meanwhile')).toBe('meanwhile');
      await clock.advance('11s');
      expect(await cache.get('before')).toBeUndefined();
      expect(await cache.get('meanwhile')).toBeUndefined();
    });
  });
});
