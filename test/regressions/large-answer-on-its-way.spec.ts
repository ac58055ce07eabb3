import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { LaneManager } from '../../lib/cache/lane-manager.js';
import { COMMAND_MS } from '../model/shared-log/instance.js';
import { InstanceBench } from '../support/instance-bench.js';

/** A line of 64 Mbit/s takes a second for it. */
const LARGE = 'x'.repeat(8 * 1024 ** 2);

describe('an entry that takes longer to receive than the server may take to answer', () => {
  let writer: InstanceBench;
  let bench: InstanceBench;
  let cache: LaneManager;

  /** Reads an entry of which the answer stays under way, and waits until that has taken too long. */
  const readSlowly = async (key: string): Promise<unknown> => {
    bench.network.isCommandHeld = true;
    const value = cache.get(key);
    await bench.pass(COMMAND_MS + 20);
    return value;
  };

  for (const [from, start] of Object.entries({
    'before this instance was connected': ['writer', 'reader'],
    'since then': ['reader', 'writer'],
  } as const)) {
    describe(`from ${from}`, () => {
      beforeEach(async () => {
        writer = new InstanceBench();
        bench = new InstanceBench(writer.clock, writer.server);
        for (const one of start) {
          await (one === 'writer' ? writer : bench).start();
          if (one !== 'writer') continue;
          for (const [key, value] of [['large', LARGE] as const, ['small', 'value'] as const]) {
            const stored = writer.app.manager().getOrSet(key, () => value);
            await writer.pass(20);
            await stored;
          }
        }
        await bench.pass(100);
        cache = bench.app.manager();
      });
      afterEach(() => {
        writer.end();
        bench.end();
      });

      it('is no fault of the server: L4 stays on, and an invalidation behind it is not given up', async () => {
        expect(await readSlowly('large')).toBeUndefined();
        let outcome = 'waits';
        void cache.invalidate('other').then(
          () => (outcome = 'resolved'),
          () => (outcome = 'rejected'),
        );
        await bench.pass(2 * COMMAND_MS + 50);
        expect([outcome, bench.reported]).toEqual(['waits', ['l4 on']]);
        bench.network.isCommandHeld = false;
        await bench.pass(200);
        expect([outcome, bench.reported]).toEqual(['resolved', ['l4 on']]);
        const again = cache.get('large');
        await bench.pass(20);
        expect(await again).toBe(LARGE);
      });

      it('does not hide for longer that the server has stopped answering', async () => {
        await readSlowly('large');
        await bench.pass(1_500);
        expect(bench.reported).toEqual(['l4 on', 'l4 off']);
      });

      it('is distinguished from a small one, whose answer is late because of the server', async () => {
        await readSlowly('small');
        // The other connection is asked how large it is, behind the read that waits there.
        await bench.pass(320);
        expect(bench.reported).toEqual(['l4 on', 'l4 off']);
      });
    });
  }
});
