import { describe, expect, it } from '@jest/globals';
import { Lease, LEASE_MS, type LeaseRequest } from '../../../lib/checkpoints/leases.js';
import { checkpointsInMemory, pass } from '../../support/checkpoints.js';

/** A store as a process sees it that does not own it, and what it asks of it. */
const asked = () => {
  const { store, clock } = checkpointsInMemory();
  const actions: string[] = [];
  const lease = (request: LeaseRequest) => {
    actions.push(request.action);
    return store.lease({ ...request, isRemote: true });
  };
  return { port: { lease }, clock, actions };
};

describe('a lease', () => {
  it('is held as long as its holder lives and extends it, and refused to others with the time that is left', async () => {
    const { port, clock } = asked();
    const lease = await Lease.take(port, clock, 'a');
    expect(lease).toBeInstanceOf(Lease);
    await pass(clock, 10 * LEASE_MS);
    const refused = await Lease.take(port, clock, 'a');
    expect(refused).not.toBeInstanceOf(Lease);
    expect('leftMs' in refused && refused.leftMs).toBeGreaterThan(0);
    expect(await Lease.take(port, clock, 'b')).toBeInstanceOf(Lease);
  });

  it('is free once it is released, and is no longer extended', async () => {
    const { port, clock, actions } = asked();
    const first = await Lease.take(port, clock, 'a');
    if (first instanceof Lease) await first.release();
    expect(await Lease.take(port, clock, 'a')).toBeInstanceOf(Lease);
    expect(actions).toEqual(['take', 'release', 'take']);
    await pass(clock, LEASE_MS);
    expect(actions.slice(3)).toEqual(['extend', 'extend', 'extend']);
  });

  it('is not extended by a process that holds it no longer', async () => {
    const { port, clock } = asked();
    await port.lease({ action: 'take', id: 'a', token: 'first' });
    await clock.advance('4s');
    expect(await Lease.take(port, clock, 'a')).toBeInstanceOf(Lease);
    expect(await port.lease({ action: 'extend', id: 'a', token: 'first' })).toMatchObject({ isHeld: false });
  });

  it('that cannot be released rejects nothing, and ends by itself', async () => {
    const { port, clock } = asked();
    const lease = await Lease.take(port, clock, 'a');
    const { lease: answer } = port;
    port.lease = () => Promise.reject(new Error('cut off'));
    if (lease instanceof Lease) await lease.release();
    port.lease = answer;
    await clock.advance('4s');
    expect(await Lease.take(port, clock, 'a')).toBeInstanceOf(Lease);
  });
});
