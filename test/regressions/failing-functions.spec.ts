import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, type INestApplicationContext, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Cached, CachePut, LaneCacheMetrics, LaneCacheModule } from '../../lib/index.js';

const fail = (what: string): never => {
  throw new Error(`${what} is broken`);
};

@Injectable()
class PagesService {
  @Cached({ key: () => fail('key') })
  async key(): Promise<number> {
    return 1;
  }

  @Cached({ tags: () => fail('tags') })
  async tags(): Promise<number> {
    return 1;
  }

  @Cached({ condition: () => fail('condition') })
  async condition(): Promise<number> {
    return 1;
  }

  @Cached({ unless: () => fail('unless') })
  async unless(): Promise<number> {
    return 1;
  }

  @CachePut({ key: () => fail('put') })
  async put(): Promise<number> {
    return 1;
  }

  @Cached({ key: () => undefined as never })
  async nothing(): Promise<number> {
    return 1;
  }
}

const warnings: string[] = [];
const logger = { log: () => undefined, error: () => undefined, warn: (text: string) => void warnings.push(text) };

@Module({ imports: [LaneCacheModule.forRoot({ directory: false, logger })], providers: [PagesService] })
class AppModule {}

describe('functions of decorators that fail', () => {
  let app: INestApplicationContext;
  afterEach(() => app.close());

  it('are each named once in the log, also when another one of the lane has failed before', async () => {
    app = await NestFactory.createApplicationContext(AppModule, { logger: false });
    warnings.length = 0;
    const pages = app.get(PagesService);
    for (const call of [1, 2]) {
      const answers = [pages.key(), pages.tags(), pages.condition(), pages.unless(), pages.put(), pages.nothing()];
      expect([call, await Promise.all(answers)]).toEqual([call, [1, 1, 1, 1, 1, 1]]);
    }
    expect(warnings).toEqual([
      '@Cached on PagesService.key ran uncached: its key or tags failed. key is broken',
      '@Cached on PagesService.tags ran uncached: its key or tags failed. tags is broken',
      '@Cached on PagesService.condition ran uncached: its condition failed. condition is broken',
      '@CachePut on PagesService.put ran uncached: its key or tags failed. put is broken',
      '@Cached on PagesService.nothing ran uncached: its key function gave no text.',
      'A result of @Cached on PagesService.unless was not stored: its unless, resultTags or ttl failed. unless is broken',
    ]);
    expect(app.get(LaneCacheMetrics).report().faults).toMatchObject({ decorator: 10 });
  });
});
