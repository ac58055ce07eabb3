import { afterEach, describe, expect, it } from '@jest/globals';
import { InstanceBench } from '../support/instance-bench.js';

/** Less than servers and firewalls are set to in practice. */
const CLOSED_AFTER_MS = 15_000;

describe('an app without calls', () => {
  const bench = new InstanceBench();

  afterEach(() => bench.end());

  it('keeps its connections to a server that closes idle ones', async () => {
    await bench.start();
    for (let second = 0; second < 60; second++) {
      await bench.pass(1_000);
      bench.network.cutIdle(CLOSED_AFTER_MS);
    }
    expect(bench.reported).toEqual(['l4 on']);
  });
});
