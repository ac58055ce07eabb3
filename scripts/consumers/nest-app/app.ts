import { Controller, Get, Inject, Injectable, Module } from '@nestjs/common';
import { Cached, CacheInvalidate, CacheManager, CacheResponse, InjectLane, LaneCacheModule } from 'nestjs-lane-cache';

@Injectable()
export class Pages {
  calls = 0;

  constructor(
    readonly cache: CacheManager,
    @InjectLane('docs') readonly docs: CacheManager,
  ) {}

  @Cached({ lane: 'docs', key: 'page:{0}', ttl: '5m', tags: ['pages'] })
  async page(id: string): Promise<{ id: string; call: number; at: Date }> {
    return { id, call: ++this.calls, at: new Date(0) };
  }

  @CacheInvalidate({ tags: ['pages'] })
  async publish(): Promise<void> {}
}

@Controller('pages')
export class PagesController {
  calls = 0;

  constructor(@Inject(Pages) private readonly pages: Pages) {}

  @Get()
  @CacheResponse({ ttl: '1m' })
  async all(): Promise<object> {
    return { call: ++this.calls, page: await this.pages.page('all') };
  }
}

/** The app with the settings of a test. */
export function appModule(settings: Parameters<typeof LaneCacheModule.forRoot>[0]): new () => object {
  @Module({ imports: [LaneCacheModule.forRoot(settings)], providers: [Pages], controllers: [PagesController] })
  class AppModule {}
  return AppModule;
}
