import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Inject, Module, type INestApplication } from '@nestjs/common';
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { Test } from '@nestjs/testing';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LaneCacheHealthIndicator } from '../../lib/health/index.js';
import {
  CheckpointService,
  LaneCacheModule,
  type CheckpointStatus,
  type LaneCacheModuleOptions,
} from '../../lib/index.js';

@Controller('health')
class HealthController {
  constructor(
    @Inject(HealthCheckService) private readonly health: HealthCheckService,
    @Inject(LaneCacheHealthIndicator) private readonly cache: LaneCacheHealthIndicator,
  ) {}

  @Get()
  @HealthCheck()
  check(): Promise<unknown> {
    return this.health.check([() => this.cache.isHealthy('cache')]);
  }

  @Get('strict')
  @HealthCheck()
  strict(): Promise<unknown> {
    return this.health.check([() => this.cache.isHealthy('cache', { lanes: ['standard'], strict: true })]);
  }
}

@Module({
  imports: [TerminusModule.forRoot({ logger: false })],
  controllers: [HealthController],
  providers: [LaneCacheHealthIndicator],
})
class HealthModule {}

async function ask(app: INestApplication, path: string): Promise<readonly [number, unknown]> {
  const answer = await fetch(`${await app.getUrl()}/${path}`);
  return [answer.status, await answer.json()];
}

describe('LaneCacheHealthIndicator', () => {
  const opened: INestApplication[] = [];

  async function boot(options: LaneCacheModuleOptions, checkpoints?: Partial<CheckpointStatus>) {
    let builder = Test.createTestingModule({ imports: [LaneCacheModule.forRoot(options), HealthModule] });
    if (checkpoints !== undefined) {
      const getCheckpointCacheStatus = async () => checkpoints;
      builder = builder.overrideProvider(CheckpointService).useValue({ getCheckpointCacheStatus });
    }
    const app = (await builder.compile()).createNestApplication();
    opened.push(app);
    await app.listen(0, '127.0.0.1');
    return app;
  }

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((app) => app.close()));
  });

  it('is up when a tier is off by intention', async () => {
    const app = await boot({ directory: false });
    for (const path of ['health', 'health/strict']) {
      const [status, body] = await ask(app, path);
      expect(status).toBe(200);
      expect(body).toMatchObject({
        status: 'ok',
        details: {
          cache: {
            status: 'up',
            checkpoints: { off: 'no-directory' },
            lanes: { standard: { off: { l2: 'no-directory' } } },
          },
        },
      });
    }
  });

  it('reports up when it has a directory', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'lane-cache-health-'));
    try {
      const app = await boot({ directory, storage: { minFreeBytes: 0 } });
      expect(await ask(app, 'health/strict')).toMatchObject([
        200,
        { details: { cache: { status: 'up', checkpoints: 'on', lanes: { standard: { off: { l4: 'policy' } } } } } },
      ]);
    } finally {
      await Promise.all(opened.splice(0).map((app) => app.close()));
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    }
  });

  it.each(['disk-full', 'read-only', 'quarantined', 'breaker'] as const)(
    'is down when checkpoints are off by the fault %s',
    async (reason) => {
      const app = await boot({ directory: false }, { state: 'off', reason });
      expect(await ask(app, 'health')).toMatchObject([
        503,
        { status: 'error', error: { cache: { status: 'down', checkpoints: { off: reason } } } },
      ]);
    },
  );

  it.each(['policy', 'no-directory', 'in-use'] as const)('is up when checkpoints are off by %s', async (reason) => {
    const app = await boot({ directory: false }, { state: 'off', reason });
    expect((await ask(app, 'health'))[0]).toBe(200);
  });

  it('reports a tier that is off by a fault, and is down by it only if strict', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'lane-cache-health-'));
    try {
      const storage = { minFreeBytes: Number.MAX_SAFE_INTEGER };
      const app = await boot({ directory, storage, checkpoints: false });
      expect(await ask(app, 'health')).toMatchObject([
        200,
        { details: { cache: { lanes: { standard: { off: { l3: 'disk-full' } } } } } },
      ]);
      expect((await ask(app, 'health/strict'))[0]).toBe(503);
    } finally {
      await Promise.all(opened.splice(0).map((app) => app.close()));
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    }
  });

  it('knows the requested lanes', async () => {
    const app = await boot({ directory: false });
    const indicator = app.get(LaneCacheHealthIndicator, { strict: false });
    expect(Object.keys((await indicator.isHealthy('c', { lanes: ['docs'] }))['c']?.['lanes'] ?? {})).toEqual(['docs']);
    await expect(indicator.isHealthy('c', { lanes: ['marble'] })).rejects.toMatchObject({ code: 'LANE_UNKNOWN' });
  });
});
