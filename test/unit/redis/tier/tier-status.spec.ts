import { beforeEach, describe, expect, it } from '@jest/globals';
import { TierStatus } from '../../../../lib/redis/tier/tier-status.js';
import { RecordingEvents } from '../../../support/stored-tiers.js';

const LATE = { state: 'off', reason: 'disconnected' } as const;

describe('the state of L4', () => {
  let events: RecordingEvents;
  let status: TierStatus;
  beforeEach(() => {
    events = new RecordingEvents();
    status = new TierStatus(events);
  });

  it('reports each refusal of the server once, and again after it has changed', () => {
    const refusal = new Error('NOAUTH Authentication required');
    for (let n = 0; n < 2; n++) status.refused(refusal);
    expect(events.tiers).toHaveLength(1);
    status.turn({ state: 'on' }, 'connected');
    for (let n = 0; n < 2; n++) status.refused(refusal);
    expect(events.tiers).toHaveLength(3);
  });

  it('stays closed, and reports no change any more', () => {
    status.turn({ state: 'off', reason: 'closed' }, 'closed');
    status.turn({ state: 'on' }, 'connected');
    status.turn(LATE, 'lost', new Error('NOAUTH Authentication required'));
    expect([status.current.reason, events.states]).toEqual(['closed', ['off closed']]);
  });
});
