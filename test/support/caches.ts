import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CacheManager } from '../../lib/app/cache-app.js';
import type { LaneCacheOptions } from '../../lib/index.js';
import { auditManager } from './audit-manager.js';

/** The caches of one spec: in memory by default, audited and closed after each test. */
export class Caches {
  private readonly opened: CacheManager[] = [];
  private readonly directories: string[] = [];

  async open(options: LaneCacheOptions = {}): Promise<CacheManager> {
    const storage = { minFreeBytes: 0, sweepEvery: false, ...options.storage } as const;
    const cache = await CacheManager.fromSettings({ directory: false, ...options, storage });
    this.opened.push(cache);
    return cache;
  }

  /** An empty directory of its own, removed after the test. */
  async directory(): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), 'lane-cache-'));
    this.directories.push(directory);
    return directory;
  }

  /** For `afterEach`. */
  async close(): Promise<void> {
    const opened = this.opened.splice(0);
    const audits = await Promise.allSettled(opened.map((cache) => auditManager(cache)));
    await Promise.all(opened.map((cache) => cache.close()));
    await Promise.all(
      this.directories.splice(0).map((directory) => rm(directory, { recursive: true, force: true, maxRetries: 5 })),
    );
    for (const audit of audits) if (audit.status === 'rejected') throw audit.reason;
  }
}
