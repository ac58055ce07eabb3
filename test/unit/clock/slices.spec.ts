import { describe, expect, it } from '@jest/globals';
import { type Clock, nextTurn, systemClock } from '../../../lib/clock/clock.js';
import { bySlices, inSlices } from '../../../lib/clock/slices.js';

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

/** A clock that stands still, and moves on by `ms` when asked to. */
function standing(): { readonly clock: Clock; readonly work: (ms: number) => void } {
  let now = 0;
  return { clock: { ...systemClock, monotonic: () => now }, work: (ms) => void (now += ms) };
}

describe('slices', () => {
  it('hold at most so many items, and the event loop turns between them', async () => {
    const { clock } = standing();
    let turns = 0;
    const count = async (): Promise<void> => {
      for (; turns < 100; turns++) await nextTurn();
    };
    void count();
    const sizes = await bySlices(clock, numbers(400), async (slice) => [...slice].length);
    expect(sizes).toEqual([128, 128, 128, 16]);
    expect(turns).toBeGreaterThanOrEqual(2);
    turns = 100;
  });

  it('end sooner where an item takes long, after one item at the least', async () => {
    const { clock, work } = standing();
    const taking =
      (ms: number) =>
      async (slice: Iterable<number>): Promise<readonly number[]> =>
        Array.from(slice, (n) => {
          work(ms);
          return n;
        });
    expect(await bySlices(clock, numbers(4), taking(100))).toEqual([[0], [1], [2], [3]]);
    expect((await bySlices(clock, numbers(6), taking(1))).flat()).toEqual(numbers(6));
    expect((await bySlices(clock, numbers(6), taking(1))).length).toBe(2);
  });

  it('begin in the step of the call', () => {
    const begun: number[] = [];
    void inSlices(standing().clock, numbers(3), async (n) => begun.push(n));
    expect(begun).toEqual([0, 1, 2]);
  });

  it('are all done before the first failure is passed on', async () => {
    const done: number[] = [];
    const failing = inSlices(standing().clock, numbers(260), async (n) => {
      if (n === 3 || n === 140) throw new Error(`number ${n}`);
      done.push(n);
      return n;
    });
    await expect(failing).rejects.toThrow('number 3');
    expect(done).toHaveLength(258);
    expect(await inSlices(systemClock, [], async () => 1)).toEqual([]);
  });
});
