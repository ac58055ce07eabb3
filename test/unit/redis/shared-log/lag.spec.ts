import { afterEach, describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../../../lib/clock/clock.js';
import { InstancePair } from '../../../support/instance-pair.js';

const RECORDS = 40;

describe('the lag of an instance', () => {
  const pair = new InstancePair();
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
});
