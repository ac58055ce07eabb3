import { describe, expect, it } from '@jest/globals';
import { Trend } from '../../../lib/dashboard/trend.js';
import { LaneApp } from '../../support/lane-app.js';

async function trendOf(
  app: LaneApp,
): Promise<{ readonly trend: Trend; readonly pass: (rounds: number) => Promise<void> }> {
  const trend = new Trend(app.operations, app.clock);
  trend.start();
  const pass = async (rounds: number): Promise<void> => {
    for (let round = 0; round < rounds; round++) await app.clock.advance('5s');
  };
  await pass(0);
  return { trend, pass };
}

describe('the trend of an hour', () => {
  it('holds how much each counter grew in each interval', async () => {
    const app = new LaneApp();
    const { trend, pass } = await trendOf(app);
    await app.manager().getOrSet('a', () => 1);
    await app.manager().getOrSet('a', () => 1);
    await pass(1);
    await app.manager().getOrSet('a', () => 1);
    await pass(2);
    const { times, lanes } = trend.report();
    expect(times).toHaveLength(3);
    expect(lanes['standard']).toMatchObject({ l1: [1, 1, 0], misses: [1, 0, 0], computed: [1, 0, 0] });
  });

  it('stays as large as an hour is', async () => {
    const app = new LaneApp();
    const { trend, pass } = await trendOf(app);
    await pass(725);
    await app.manager().get('a');
    await pass(1);
    const { times, lanes } = trend.report();
    expect([times.length, lanes['docs']?.misses.length]).toEqual([720, 720]);
    expect(lanes['standard']?.misses.slice(-2)).toEqual([0, 1]);
  });

  it('takes no more samples once the app closes', async () => {
    const app = new LaneApp();
    const { trend, pass } = await trendOf(app);
    await pass(2);
    trend.onModuleDestroy();
    await pass(2);
    trend.start();
    await pass(2);
    expect(trend.report().times).toHaveLength(2);
  });
});
