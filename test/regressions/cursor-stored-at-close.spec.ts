import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import type { SharedInstance } from '../model/shared-log/instance.js';
import { InstancePair } from '../support/instance-pair.js';

const CLOSES_WITHIN_MS = 1_000;

describe('an instance that closes while it stores how far it followed the others', () => {
  let pair: InstancePair;
  let one: SharedInstance;
  let other: SharedInstance;

  beforeEach(async () => {
    pair = new InstancePair();
    one = pair.start(0);
    other = pair.start(1);
    await pair.pass(500);
  });
  afterEach(() => pair.end());

  /** Messages arrive. The disk commits nothing. */
  const carry = async (): Promise<void> => {
    for (let n = 0; n < 100; n++) {
      await nextTurn();
      const [step] = pair.networks.flatMap(({ steps }) => steps);
      step?.();
    }
  };

  const commit = async (): Promise<void> => {
    for (let n = 0; n < 10; n++) {
      while ((one.l3?.queued ?? 0) > 0) one.l3?.commit();
      await nextTurn();
    }
  };

  const followAndClose = async (): Promise<() => boolean> => {
    const state = { isClosed: false };
    void other.app.manager().invalidate('k');
    await carry();
    expect(one.l3?.queued).toBeGreaterThan(0);
    void one.distributed.close().then(() => (state.isClosed = true));
    await carry();
    return () => state.isClosed;
  };

  it('is closed once the disk has it', async () => {
    const isClosed = await followAndClose();
    expect(isClosed()).toBe(false);
    await commit();
    expect(isClosed()).toBe(true);
    expect(pair.disk.log.cursor).toEqual(other.distributed.log.cursor);
  });

  it('does not wait for a disk that hangs', async () => {
    const isClosed = await followAndClose();
    await pair.clock.advance(`${CLOSES_WITHIN_MS}ms`);
    await carry();
    expect(isClosed()).toBe(true);
  });
});
