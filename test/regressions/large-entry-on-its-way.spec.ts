import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { COMMAND_MS } from '../model/shared-log/instance.js';
import { InstanceBench } from '../support/instance-bench.js';

/** A line of 64 Mbit/s takes a second for it. */
const LARGE = 'x'.repeat(8 * 1024 ** 2);

/** From here on no command is answered. */
async function store(bench: InstanceBench): Promise<void> {
  const stored = bench.app.manager().getOrSet('large', () => {
    bench.network.isCommandHeld = true;
    return LARGE;
  });
  await bench.pass(20);
  await stored;
}

describe('an entry that takes longer to send than the server may take to answer', () => {
  let bench: InstanceBench;

  beforeEach(async () => {
    bench = await new InstanceBench().start();
  });

  afterEach(() => bench.end());

  it('is no fault of the server: L4 stays on, and what waits behind it is neither given up nor lost', async () => {
    const cache = bench.app.manager();
    await store(bench);
    let outcome = 'waits';
    void cache.invalidate('other').then(
      () => (outcome = 'resolved'),
      () => (outcome = 'rejected'),
    );
    const behind = cache.getOrSet('asked meanwhile', () => 'computed');
    await bench.pass(3 * COMMAND_MS);
    expect([outcome, bench.reported, await behind]).toEqual(['waits', ['l4 on'], 'computed']);
    bench.network.isCommandHeld = false;
    await bench.pass(200);
    expect([outcome, bench.reported]).toEqual(['resolved', ['l4 on']]);
  });

  it('does not hide for longer that the server has stopped answering', async () => {
    const cache = bench.app.manager();
    await store(bench);
    const behind = cache.get('asked meanwhile');
    await bench.pass(1_500);
    expect([await behind, bench.reported]).toEqual([undefined, ['l4 on', 'l4 off']]);
  });
});
