import { describe, expect, it } from '@jest/globals';
import { FakeClock } from '../../../lib/testing/fake-clock.js';

const setUp = () => {
  const clock = new FakeClock(1_000_000);
  const ran: string[] = [];
  const note = (name: string) => () => void ran.push(`${name}@${clock.monotonic()}`);
  return { clock, ran, note };
};

describe('a fake clock', () => {
  it('does not advance by itself', () => {
    const { clock } = setUp();
    expect([clock.now(), clock.now(), clock.monotonic()]).toEqual([1_000_000, 1_000_000, 0]);
  });

  it('starts at the beginning of 2026 by default', () => {
    expect(new Date(new FakeClock().now()).toISOString()).toBe('2026-01-01T00:00:00.000Z');
  });

  it('moves both clocks by a duration', async () => {
    const { clock } = setUp();
    await clock.advance('1.5s');
    await clock.advance(2);
    expect([clock.now(), clock.monotonic()]).toEqual([1_003_500, 3_500]);
  });

  it('runs what falls due, in order of time and then of scheduling, each at its own time', async () => {
    const { clock, ran, note } = setUp();
    clock.schedule(200, note('late'));
    clock.schedule(100, note('first'));
    clock.schedule(100, note('second'));
    clock.schedule(201, note('not yet'));
    await clock.advance('200ms');
    expect(ran).toEqual(['first@100', 'second@100', 'late@200']);
    expect(clock.pending).toBe(1);
  });

  it('runs what is scheduled on the way, also from promises', async () => {
    const { clock, ran, note } = setUp();
    clock.schedule(100, () => {
      void Promise.resolve().then(() => clock.schedule(50, note('chained')));
    });
    await clock.advance('150ms');
    expect(ran).toEqual(['chained@150']);
  });

  it('lets work under way schedule before it moves', async () => {
    const { clock, ran, note } = setUp();
    void Promise.resolve().then(() => clock.schedule(10, note('soon')));
    await clock.advance('10ms');
    expect(ran).toEqual(['soon@10']);
  });

  it('runs nothing that was cancelled', async () => {
    const { clock, ran, note } = setUp();
    const cancel = clock.schedule(10, note('never'));
    cancel();
    cancel();
    await clock.advance('1s');
    expect([ran, clock.pending]).toEqual([[], 0]);
  });

  it('runs what was due at once with the next advance, be it by nothing', async () => {
    const { clock, ran, note } = setUp();
    clock.schedule(-5, note('past'));
    clock.schedule(0, note('now'));
    expect(ran).toEqual([]);
    await clock.advance(0);
    expect(ran).toEqual(['past@0', 'now@0']);
  });

  it('steps the wall clock alone, without running anything', async () => {
    const { clock, ran, note } = setUp();
    clock.schedule(10, note('soon'));
    clock.step(-60_000);
    expect([clock.now(), clock.monotonic(), ran]).toEqual([940_000, 0, []]);
    await clock.advance('1s');
    expect(clock.now()).toBe(941_000);
  });

  it('refuses to go back', async () => {
    await expect(setUp().clock.advance(-1)).rejects.toMatchObject({ code: 'TTL_INVALID' });
  });
});
