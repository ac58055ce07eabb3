import { describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../lib/clock/clock.js';
import type { SharedLog } from '../../lib/invalidation/shared-log.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';
import { OffTier } from '../../lib/tiers/off-tier.js';
import { Deferred } from '../support/deferred.js';
import { logBesideTheOwner } from '../support/host-logs.js';
import { Jobs } from '../support/jobs.js';
import { FREE_TURNS, LaneApp, QuietLog } from '../support/lane-app.js';
import { ModelLogDisk } from '../support/model-log-disk.js';

class SlowLog extends QuietLog {
  readonly answer = new Deferred<boolean>();
  override readonly publish: SharedLog['publish'] = () => ({ held: this.answer.promise, copies: [undefined] });
}

describe('a flush during an invalidation that the server has not answered', () => {
  it('ends once the log of the directory has the record, which follows the answer', async () => {
    const [clock, jobs, log] = [new FakeClock(), new Jobs(), new SlowLog()];
    const hostLog = logBesideTheOwner({ folder: new ModelLogDisk().folderOf(jobs), clock, idleClock: clock });
    await hostLog.open();
    const share = () => ({ tier: new OffTier('l4', 'policy'), log, turns: FREE_TURNS });
    const app = new LaneApp({ clock, disk: () => ({ hostLog }), share });
    await app.start();
    const settle = async (): Promise<void> => {
      for (await nextTurn(); jobs.size > 0; await nextTurn()) jobs.run(0);
    };
    const before = hostLog.place?.position;
    const invalidated = app.manager().invalidateByTag('t');
    let isFlushed = false;
    void app
      .manager()
      .flush()
      .then(() => (isFlushed = true));
    await settle();
    expect([isFlushed, hostLog.place?.position]).toEqual([false, before]);
    log.answer.resolve(false);
    await settle();
    await invalidated;
    expect([isFlushed, hostLog.place?.position === before]).toEqual([true, false]);
    await hostLog.close();
  });
});
