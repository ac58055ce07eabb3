import { describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { SharedDisk, SharedInstance } from '../model/shared-log/instance.js';
import { Jobs } from '../support/jobs.js';
import { ModelNetwork } from '../support/model-network.js';
import { ModelRedis } from '../support/model-redis.js';

describe('an invalidation that could not be published', () => {
  it('stays in the outbox when the instance has to empty its disk', async () => {
    const clock = new FakeClock();
    const server = new ModelRedis(() => clock.now());
    const [network, disk, jobs] = [new ModelNetwork(server, clock), new SharedDisk(), new Jobs()];
    const life = { instance: 0, bornAt: 0, isDurable: true, connectedAt: undefined, hasConnected: false, spoiltMs: 0 };
    const policy = { onDisconnect: 'serve', trustPersistence: false, coalesce: 'process' } as const;
    const instance = new SharedInstance(life, { clock, jobs, network, disk, ...policy });
    const { app, l3 } = instance;
    const pass = async (ms: number): Promise<void> => {
      for (let left = ms; left > 0; left -= 50) {
        await clock.advance('50ms');
        for (let step = network.steps[0]; step !== undefined; step = network.steps[0]) {
          step();
          await nextTurn();
        }
        jobs.run(0);
        while ((l3?.queued ?? 0) > 0) l3?.commit();
      }
    };
    await pass(500);
    network.isDown = true;
    network.cut();
    const invalidated = app.manager().invalidate('k');
    await pass(500);
    expect(await invalidated).toBe(false);
    expect(disk.outbox.size).toBe(1);
    // the records of others can no longer be read, and the server does not answer what is published
    server.command('HINCRBY', ['{p}:meta', 'seq', '5']);
    network.isCommandHeld = true;
    network.isDown = false;
    await pass(5_000);
    expect(disk.outbox.size).toBe(1);
    network.isCommandHeld = false;
    await pass(2_000);
    expect(disk.outbox.size).toBe(0);
    instance.kill();
  });
});
