import { describe, expect, it } from '@jest/globals';
import { nextTurn, SharedDeadline } from '../../lib/clock/clock.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { collected, collectYoung } from '../support/garbage.js';

const ROUNDS = 100;
const TOGETHER = 20;
const ANSWER_BYTES = 10_000;

const answer = (): ArrayBuffer => new ArrayBuffer(ANSWER_BYTES);

/*
 * Each answer of another process, and of Redis, stayed in memory until V8 collected the whole heap: the deadline of the reads
 * kept what waited in a Set, and V8 keeps the former tables of a Set that has grown, with what they held.
 */
describe('answers that were awaited together under one deadline', () => {
  it('are gone when the young generation is collected', async () => {
    const deadline = new SharedDeadline(new FakeClock(), 100, 'the owner');
    // From here on, V8 takes what the deadline is made of for old.
    await collected(() => false);
    const before = process.memoryUsage().arrayBuffers;
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all(Array.from({ length: TOGETHER }, () => deadline.during(nextTurn().then(answer))));
      collectYoung();
    }
    const held = process.memoryUsage().arrayBuffers - before;
    expect(held).toBeLessThan((ROUNDS * TOGETHER * ANSWER_BYTES) / 10);
  });
});
