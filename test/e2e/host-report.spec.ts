import { afterEach, describe, expect, it } from '@jest/globals';
import { createLaneCache } from '../../lib/app/cache-app.js';
import { StorageBench } from '../support/storage.js';

describe('the report about the processes of a directory', () => {
  const bench = new StorageBench();
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
    await bench.dispose();
  });

  const open = async (directory: string | false) => {
    const app = await createLaneCache({ directory, version: '1.2', storage: { minFreeBytes: 0, sweepEvery: false } });
    closing.push(() => app.close());
    return app;
  };

  it('says that a process is alone, and then who owns the directory', async () => {
    const directory = await bench.path('cache');
    const owner = await open(directory);
    expect(owner.metrics.report().host).toMatchObject({ directory, role: 'alone', log: { behindBytes: 0 } });
    const other = await open(directory);
    const user = { pid: process.pid, version: '1.2', since: expect.stringMatching(/Z$/) };
    const processes = [
      { ...user, role: 'owner' },
      { ...user, role: 'follower' },
    ];
    expect(owner.metrics.report().host).toMatchObject({ role: 'owner', processes });
    expect(other.metrics.report().host).toMatchObject({ role: 'follower', processes });
  });

  it('says how far a process is behind, and where it is', async () => {
    const directory = await bench.path('cache');
    const [owner, other] = [await open(directory), await open(directory)];
    const before = other.metrics.report().host?.log.position ?? -1;
    await owner.manager().invalidate('k');
    await other.manager().get('k');
    const { position, behindBytes } = other.metrics.report().host?.log ?? {};
    expect(position).toBeGreaterThan(before);
    expect(behindBytes).toBe(0);
  });

  it('is absent without a directory', async () => {
    expect((await open(false)).metrics.report()).not.toHaveProperty('host');
  });
});
