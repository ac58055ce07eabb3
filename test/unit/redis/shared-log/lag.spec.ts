import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../../../lib/clock/clock.js';
import { InstancePair } from '../../../support/instance-pair.js';

const RECORDS = 40;
const MORE_THAN_ARE_READ = 1_001;

describe('the lag of an instance', () => {
  let pair: InstancePair;
  beforeEach(() => {
    pair = new InstancePair();
  });
  afterEach(() => pair.end());

  it('grows while it is disconnected, then is what it still has to follow, and at last nothing', async () => {
    const [one, other] = [pair.start(0), pair.start(1)];
    const [, way] = pair.networks;
    await pair.pass(1_000);
    expect(other.distributed.sharedReport).toMatchObject({ isConnected: true, behind: 0 });
    expect(other.distributed.sharedReport.lagMs).toBeLessThan(1_000);

    way.isDown = true;
    way.cut();
    await pair.pass(3_000);
    expect(other.distributed.sharedReport.isConnected).toBe(false);
    expect(other.distributed.sharedReport.lagMs).toBeGreaterThanOrEqual(3_000);
    const manager = one.app.manager();
    await pair.during(Promise.all(Array.from({ length: RECORDS }, (_, n) => manager.invalidate(`k:${n}`))));

    way.isDown = false;
    const behind: number[] = [];
    while (!other.distributed.sharedReport.isConnected) {
      await pair.clock.advance('20ms');
      await nextTurn();
      for (let [step] = way.steps; step !== undefined; [step] = way.steps) {
        step();
        await nextTurn();
        behind.push(other.distributed.sharedReport.behind);
      }
    }
    expect(Math.max(...behind)).toBe(RECORDS);
    await pair.pass(1_000);
    expect(other.distributed.sharedReport).toMatchObject({ isConnected: true, behind: 0 });
    expect(other.distributed.sharedReport.lagMs).toBeLessThan(1_000);
  });

  it('is that of an instance that is not connected until it has followed more records than it reads at a time', async () => {
    const [one, other] = [pair.start(0), pair.start(1)];
    const [, way] = pair.networks;
    await pair.pass(1_000);
    await pair.during(other.app.manager().getOrSet('last', async () => 'old'));
    way.isDown = true;
    way.cut();
    await pair.pass(500);
    const manager = one.app.manager();
    const keys = [...Array.from({ length: MORE_THAN_ARE_READ }, (_, n) => `k:${n}`), 'last'];
    for (let from = 0; from < keys.length; from += 100) {
      await pair.during(Promise.all(keys.slice(from, from + 100).map((key) => manager.invalidate(key))));
    }

    way.isDown = false;
    const seen = new Set<string>();
    for (let isDone = false; !isDone;) {
      await pair.clock.advance('20ms');
      await nextTurn();
      for (let [step] = way.steps; step !== undefined; [step] = way.steps) {
        step();
        await nextTurn();
        const { isConnected, behind } = other.distributed.sharedReport;
        isDone = isConnected;
        seen.add(`${isConnected ? 'connected' : 'not connected'}, ${behind > 0 ? 'behind' : 'up to date'}`);
      }
    }
    expect(seen).toContain('not connected, behind');
    expect(seen).not.toContain('connected, behind');
    expect(await pair.during(other.app.manager().get('last'))).toBeUndefined();
  });
});
