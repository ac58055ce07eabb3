import { describe, expect, it } from '@jest/globals';
import type { Fault } from '../../lib/events/reasons.js';
import { checkpointsInMemory, settle } from '../support/checkpoints.js';

const MINE = new Error('of the listener');

describe('a function that follows a cleanup', () => {
  it.each([
    ['throws', () => Promise.resolve(), MINE],
    ['rejects', () => Promise.reject(MINE), undefined],
  ])('and %s does not end it, and is reported once', async (_what, answer, thrown) => {
    const faults: Fault[] = [];
    const { service, clock } = checkpointsInMemory({ report: (fault) => void faults.push(fault) });
    for (let n = 0; n < 600; n++) await service.cacheCheckpoint(`id ${n}`, n);
    await clock.advance('9d');
    let calls = 0;
    const report = await service.cleanupOldCheckpoints(7, () => {
      calls++;
      if (thrown !== undefined) throw thrown;
      return answer() as never;
    });
    await settle();
    expect(report.removed).toBe(600);
    expect(faults).toMatchObject([{ collaborator: 'listener', error: MINE }]);
    expect(calls).toBeGreaterThan(0);
  });
});
