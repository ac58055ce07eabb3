import { expect, it } from '@jest/globals';
import { nextTurn } from '../../../lib/clock/clock.js';
import { LaneApp } from '../../support/lane-app.js';
import { Jobs } from '../../support/jobs.js';
import { ModelDisk, ModelTier } from '../../support/model-tier.js';

it('a tier that keeps failing is retried with back-off, at most a minute apart', async () => {
  const l2 = new ModelTier('l2', ['standard'], new ModelDisk(), new Jobs());
  let asked = 0;
  l2.read = () => {
    asked++;
    return Promise.reject(new Error('broken'));
  };
  const app = new LaneApp({ below: [l2] });
  const askedIn: number[] = [];
  for (let minute = 0; minute < 10; minute++) {
    const before = asked;
    for (let second = 0; second < 60; second++) {
      await app.manager().get('k');
      await app.clock.advance('1s');
    }
    askedIn.push(asked - before);
  }
  await nextTurn();
  expect(askedIn.slice(0, 2)).toEqual([6, 1]);
  expect(askedIn.slice(2)).toEqual(Array.from({ length: 8 }, () => 1));
});
