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

  it('reports why a server that was lost is not reached again, if its certificate is the reason', () => {
    const failed = (message: string, code?: string): Error => Object.assign(new Error(message), { code });
    status.turn({ state: 'on' }, 'connected');
    status.turn(LATE, 'lost', failed('the connection to Redis was lost'));
    for (let n = 0; n < 2; n++) {
      status.turn(LATE, 'refused', failed('connect ECONNREFUSED', 'ECONNREFUSED'));
      status.turn(LATE, 'not found', failed('getaddrinfo EAI_AGAIN', 'EAI_AGAIN'));
      status.turn(LATE, 'expired', failed('certificate has expired', 'CERT_HAS_EXPIRED'));
      status.turn(LATE, 'unknown', failed('tlsv1 alert unknown ca', 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'));
    }
    expect(events.tiers.map(({ detail }) => detail)).toEqual(['connected', 'lost', 'expired', 'unknown']);
  });

  it('stays closed, and reports no change any more', () => {
    status.turn({ state: 'off', reason: 'closed' }, 'closed');
    status.turn({ state: 'on' }, 'connected');
    status.turn(LATE, 'lost', new Error('NOAUTH Authentication required'));
    expect([status.current.reason, events.states]).toEqual(['closed', ['off closed']]);
  });
});
