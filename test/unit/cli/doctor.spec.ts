import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { chmod, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { noFaults } from '../../../lib/events/event-bus.js';
import { CacheManager } from '../../../lib/app/cache-app.js';
import { checkpointFindings, clockFindings, memoryFindings } from '../../../lib/operations/app-findings.js';
import { volumeFindings } from '../../../lib/storage/directory/directory-findings.js';
import type { Finding } from '../../../lib/errors/finding.js';
import { laneFindings, tierFindings } from '../../../lib/operations/lane-findings.js';
import type { LaneCacheOptions } from '../../../lib/app/options.js';
import { LaneAwareCacheStrategy } from '../../../lib/lanes/strategy.js';
import { systemClock } from '../../../lib/clock/clock.js';
import { runCli } from '../../support/fake-terminal.js';
import { StorageBench } from '../../support/storage.js';

const isFindings = (value: unknown): value is { readonly findings: readonly Finding[] } =>
  typeof value === 'object' && value !== null && 'findings' in value;

class Never extends LaneAwareCacheStrategy {
  override shouldCache(): boolean {
    return false;
  }
}

const ask = async (manager: CacheManager, calls: number, keys: number, value: unknown = 'value'): Promise<void> => {
  for (let n = 0; n < calls; n += 1) await manager.getOrSet(`key:${n % keys}`, () => value);
};

describe('the doctor', () => {
  const bench = new StorageBench();
  let directory: string;
  let cache: CacheManager | undefined;

  beforeEach(async () => {
    directory = await bench.path('cache');
  });
  afterEach(async () => {
    await cache?.close();
    cache = undefined;
    await bench.dispose();
  });

  const app = async (lane: LaneCacheOptions['lanes'] = {}, more: LaneCacheOptions = {}): Promise<CacheManager> => {
    cache = await CacheManager.fromSettings({ directory, logger: false, lanes: lane, ...more });
    return cache;
  };
  const doctor = async (): Promise<readonly Finding[]> => {
    const { exitCode, out, notes } = await runCli(['doctor', '--directory', directory]);
    const report: unknown = JSON.parse(out);
    if (!isFindings(report)) throw new Error(out);
    expect([exitCode, notes]).toEqual([report.findings.length > 0 ? 1 : 0, '']);
    return report.findings;
  };
  const codes = async (): Promise<readonly string[]> => (await doctor()).map(({ code }) => code);

  it('finds nothing in a healthy app, whether it is busy, idle or stopped', async () => {
    const healthy = await app();
    expect(await doctor()).toEqual([]);
    await ask(healthy, 400, 40);
    await healthy.invalidateByTag('none');
    await healthy.snapshots.cacheCheckpoint('run', { step: 1 });
    await healthy.flush();
    expect(await doctor()).toEqual([]);
    const watched = await runCli(['doctor', '--directory', directory], { isInteractive: true });
    expect(watched).toMatchObject({ exitCode: 0, out: 'Healthy: no findings.' });
    await healthy.close();
    expect(await doctor()).toEqual([]);
  });

  describe('when the cache does not work', () => {
    it('finds a strategy that refuses everything', async () => {
      await ask(await app({ standard: { strategy: new Never() } }), 40, 4);
      expect(await doctor()).toMatchObject([
        {
          lane: 'standard',
          code: 'NOT_STORED',
          severity: 'error',
          evidence: expect.stringContaining('strategy'),
          advice: expect.stringContaining('shouldCache'),
        },
      ]);
    });

    it('finds values that are too large, or cannot be stored', async () => {
      const manager = await app({ standard: { maxEntryBytes: '1KB' } });
      await ask(manager, 40, 4, 'x'.repeat(5_000));
      await ask(manager.forLane('docs'), 40, 4, { run: () => 1 });
      expect(await doctor()).toMatchObject([
        { lane: 'docs', code: 'NOT_STORED', advice: expect.stringContaining('types') },
        { lane: 'standard', code: 'NOT_STORED', advice: expect.stringContaining('maxEntryBytes') },
      ]);
    });

    it('finds keys that are excluded, and a ttl of 0', async () => {
      const manager = await app({ standard: { exclude: ['key:*'] }, docs: { ttl: 0 } });
      await ask(manager, 40, 4);
      await ask(manager.forLane('docs'), 40, 4);
      expect(await doctor()).toMatchObject([
        { lane: 'docs', code: 'NOT_USED', advice: expect.stringContaining('ttl') },
        { lane: 'standard', code: 'NOT_USED', advice: expect.stringContaining('exclude') },
      ]);
    });

    it('finds keys that never repeat', async () => {
      await ask(await app(), 40, 1_000);
      expect(await doctor()).toMatchObject([
        { lane: 'standard', code: 'NO_HITS', advice: expect.stringContaining('Keys hardly repeat') },
      ]);
    });
  });

  describe('when the hit rate is poor', () => {
    it('finds a lane that is too small', async () => {
      const small = { maxEntries: 5 };
      const manager = await app({ standard: { l1: small, l2: small, l3: { enabled: false } } });
      for (let round = 0; round < 6; round += 1) {
        await ask(manager, 30, 30);
        await manager.flush();
      }
      expect(await doctor()).toMatchObject([
        { lane: 'standard', code: expect.stringMatching(/HIT/), advice: expect.stringContaining('maxEntries') },
      ]);
    });

    it('finds a ttl that is too short', async () => {
      const manager = await app({ standard: { ttl: '1ms' } });
      for (let n = 0; n < 150; n += 1) {
        await manager.getOrSet(`key:${n % 3}`, () => 1);
        if (n % 3 === 2) await new Promise<void>((over) => systemClock.schedule(2, over));
      }
      expect(await doctor()).toMatchObject([
        { lane: 'standard', code: expect.stringMatching(/HIT/), advice: expect.stringContaining('ttl') },
      ]);
    });

    it('finds values that are invalidated as soon as they are stored', async () => {
      const manager = await app();
      for (let n = 0; n < 120; n += 1) {
        await manager.getOrSet('key', () => n);
        await manager.invalidate('key');
      }
      expect(await doctor()).toMatchObject([
        { lane: 'standard', advice: expect.stringContaining('invalidate less often') },
      ]);
    });
  });

  describe('when values are old', () => {
    it('finds a source that fails, and stale values served for it', async () => {
      const manager = await app({ standard: { grace: '1h', graceBackoff: 0 } });
      await manager.getOrSet('key', () => 'good');
      await manager.expire('key');
      for (let n = 0; n < 30; n += 1) await manager.getOrSet('key', () => Promise.reject(new Error('source')));
      expect(await codes()).toEqual(expect.arrayContaining(['COMPUTE_FAILING', 'STALE_SERVED']));
    });

    it('finds a ttl of days where nothing is ever invalidated', async () => {
      const manager = await app({ standard: { ttl: '30d' } });
      await ask(manager, 60, 6);
      expect(await doctor()).toMatchObject([{ lane: 'standard', code: 'OLD_VALUES', severity: 'warning' }]);
      await manager.invalidate('key:1');
      expect(await codes()).toEqual([]);
    });

    it('says what adaptive eviction would save where a lane compares policies, if it is worth a change', async () => {
      const manager = await app({ standard: { compareEviction: true } });
      const saving = (best: number): readonly Finding[] => {
        const eviction = { policy: 'lru', leader: 'value', shadows: { value: best, gdsf: 40, lru: 38 } } as const;
        return laneFindings({ ...manager.getMetrics(), requests: 1_000, hitRate: 60, eviction });
      };
      expect(saving(47)).toMatchObject([
        {
          code: 'EVICTION',
          evidence: 'adaptive eviction would save 47.0 % of the compute time of late, and exact LRU 38.0 %',
        },
      ]);
      expect(saving(40)).toEqual([]);
    });

    it('finds a clock that was set back', async () => {
      const memory = { rssBytes: 1, heapUsedBytes: 1, heapLimitBytes: 1e9 };
      const described = { pid: 1, defaultLane: 'standard', policies: [], memory };
      const time = { wall: 1_000_000, life: 1_000_000 };
      expect(clockFindings({ ...described, time }, new Date(1_000_000).toISOString())).toEqual([]);
      expect(clockFindings({ ...described, time: { ...time, life: 2_000_000 } }, undefined)).toMatchObject([
        { code: 'CLOCK' },
      ]);
      expect(clockFindings({ ...described, time }, new Date(9_000_000).toISOString())).toMatchObject([
        { code: 'CLOCK' },
      ]);
    });
  });

  it('finds memory that is nearly full, and the lane that uses most of it', async () => {
    const manager = await app();
    await manager.forLane('heavy').getOrSet('large', () => 'x'.repeat(600_000));
    const described = { pid: 1, defaultLane: 'standard', policies: [], time: { wall: 0, life: 0 } };
    const memory = { rssBytes: 2e6, heapUsedBytes: 9e5, heapLimitBytes: 1e6 };
    const report = {
      timestamp: '',
      lanes: { heavy: manager.forLane('heavy').getMetrics(), standard: manager.getMetrics() },
      faults: noFaults(),
    };
    expect(memoryFindings({ ...described, memory }, report)).toMatchObject([
      { lane: 'heavy', code: 'HIGH_MEMORY', severity: 'error', advice: expect.stringContaining('l1.maxBytes') },
    ]);
    expect(memoryFindings({ ...described, memory: { ...memory, heapUsedBytes: 1e5 } }, report)).toMatchObject([
      { severity: 'warning' },
    ]);
    expect(memoryFindings({ ...described, memory: { ...memory, heapLimitBytes: 1e9 } }, report)).toEqual([]);
  });

  it('finds checkpoints that no cleanup removes, once a cleanup was due', async () => {
    const saveBefore = async (days: number): Promise<void> => {
      const then = systemClock.now() - days * 86_400_000;
      const clock = { ...systemClock, now: () => then };
      await (await app({}, { clock })).snapshots.cacheCheckpoint('forgotten', { step: 1 });
      await cache?.close();
      await app();
    };
    await saveBefore(8);
    expect(await doctor()).toEqual([]);
    await cache?.close();
    await saveBefore(30);
    expect(await doctor()).toMatchObject([
      { code: 'CHECKPOINTS_PILED_UP', advice: expect.stringContaining('cleanup') },
    ]);
  });

  it('finds a directory that others can read or change, and what was set aside in it', async () => {
    await app();
    await chmod(directory, 0o777);
    await chmod(join(directory, 'l3'), 0o755);
    await mkdir(join(directory, 'l3.bad-2026-01-31T12-00-00-000Z'));
    await mkdir(join(directory, 'checkpoints.bad-2026-01-31T12-00-00-000Z'));
    const findings = await doctor();
    expect(findings.map(({ code, severity }) => [code, severity])).toEqual([
      ['DIRECTORY_PERMISSIONS', 'error'],
      ['DIRECTORY_PERMISSIONS', 'error'],
      ['QUARANTINE', 'warning'],
      ['QUARANTINE', 'error'],
    ]);
  });

  it('finds a directory that no app can use', async () => {
    await (await app()).close();
    const real = directory;
    directory = `${real}-link`;
    await symlink(real, directory);
    expect(await doctor()).toMatchObject([
      { code: 'DIRECTORY_UNSUITABLE', severity: 'error', evidence: expect.stringContaining('symbolic link') },
    ]);
    expect((await runCli(['metrics', '--directory', directory])).exitCode).toBe(3);
  });

  it('finds checkpoints of a newer release', async () => {
    await (await app()).close();
    const { environment } = await bench.environment(join(directory, 'checkpoints'), {
      durability: 'durable',
      onMarkerLeft: 'probe',
    });
    const about = environment.table('about');
    await environment.commit((transaction) => transaction.put(about, 'format', Buffer.from('nestjs-lane-cache 99')));
    await environment.close();
    expect(await doctor()).toMatchObject([
      { code: 'FORMAT', severity: 'error', evidence: expect.stringContaining('nestjs-lane-cache 99') },
    ]);
  });

  it('finds a volume that is nearly full, or on a network', () => {
    const roomy = { freeBytes: 1e9, sizeBytes: 1e10, network: undefined };
    expect(volumeFindings('/d', roomy)).toEqual([]);
    expect(volumeFindings('/d', { ...roomy, freeBytes: 1e8 })).toMatchObject([
      { code: 'DISK_SPACE', severity: 'error' },
    ]);
    expect(volumeFindings('/d', { ...roomy, network: 'NFS' })).toMatchObject([{ code: 'NETWORK_FILE_SYSTEM' }]);
  });

  it('finds a tier that is off by a fault, and one that fails sometimes', async () => {
    const metrics = (await app()).getMetrics();
    const broken = { ...metrics.l3, state: 'off', reason: 'disk-full', since: 'then' } as const;
    expect(tierFindings([{ ...metrics, l3: broken }])).toMatchObject([
      {
        lane: 'standard',
        code: 'TIER_OFF',
        evidence: 'l3 is off (disk-full) since then',
        advice: expect.stringContaining('minFreeBytes'),
      },
    ]);
    expect(laneFindings({ ...metrics, l2: { ...metrics.l2, errors: 3 } })).toMatchObject([{ code: 'TIER_ERRORS' }]);
    expect(tierFindings([{ ...metrics, l3: { ...metrics.l3, state: 'off', reason: 'policy' } }])).toEqual([]);
  });

  it('names one cause once, with all lanes that it concerns', async () => {
    const metrics = (await app()).getMetrics();
    const broken = { ...metrics, l4: { ...metrics.l4, state: 'off', reason: 'disconnected', since: 'then' } } as const;
    const lanes = ['docs', 'standard', 'heavy'].map((lane) => ({ ...broken, lane }));
    expect(tierFindings(lanes)).toMatchObject([
      { code: 'TIER_OFF', evidence: 'l4 is off (disconnected) since then, in the lanes docs, standard, heavy' },
    ]);
  });

  it('calls it no error yet that a few first requests found nothing', async () => {
    const metrics = (await app()).getMetrics();
    const severityOf = (requests: number): unknown =>
      laneFindings({ ...metrics, requests, misses: requests, computed: requests, hitRate: 0 })[0]?.severity;
    expect([19, 20, 99, 100].map(severityOf)).toEqual([undefined, 'warning', 'warning', 'error']);
  });

  it('blames no ttl where memory evicted what was computed again', async () => {
    const metrics = (await app()).getMetrics();
    const counters = { requests: 300, misses: 300, computed: 300, hitRate: 0 };
    const [finding] = laneFindings({
      ...metrics,
      ...counters,
      l1: { ...metrics.l1, evictions: 200, entries: 100 },
      l2: { ...metrics.l2, state: 'on', entries: 120 },
    });
    expect(finding).toMatchObject({ code: 'NO_HITS', advice: expect.not.stringContaining('ttl') });
  });

  it('finds what the app handed in and failed, with how often', async () => {
    const fail = (): never => {
      throw new Error('mine');
    };
    const strategy = { shouldCache: fail, getEvictionPriority: () => 0 };
    const failing = await app({ standard: { strategy } }, { version: '1' });
    for (let n = 0; n < 3; n++) await failing.getOrSet(`k${n}`, () => n);
    const finding = { code: 'COLLABORATOR_FAILS', severity: 'warning', evidence: 'failed so far: strategy 3' };
    expect(await doctor()).toMatchObject([finding]);
    await failing.close();
    expect(await doctor()).toMatchObject([
      { ...finding, evidence: expect.stringMatching(/strategy 3 \(when the app/) },
    ]);
  });

  it('finds checkpoints that are off by a fault', () => {
    const status = { cachedCheckpoints: 0, versions: 0, bytes: 0, lanes: {} };
    expect(checkpointFindings({ ...status, state: 'off', reason: 'disk-full' }, undefined)).toMatchObject([
      { code: 'CHECKPOINTS_OFF', severity: 'error', advice: expect.stringContaining('check the volume') },
    ]);
    expect(checkpointFindings({ ...status, state: 'off', reason: 'disconnected' }, undefined)).toMatchObject([
      { code: 'CHECKPOINTS_OFF', severity: 'error', advice: expect.stringContaining('check the server') },
    ]);
    expect(checkpointFindings({ ...status, state: 'off', reason: 'policy' }, undefined)).toEqual([]);
  });
});
