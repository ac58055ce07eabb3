import { join } from 'node:path';
import { type DynamicModule, Module } from '@nestjs/common';
import { LaneCacheModule } from 'nestjs-lane-cache';
import { SiteModule } from './site/site.module.js';

@Module({})
export class AppModule {
  /** All data that must outlive the process is in `directory`: the site, the cache and its checkpoints. */
  static of(library: string, directory: string): DynamicModule {
    return {
      module: AppModule,
      imports: [
        LaneCacheModule.forRoot({ lane: 'standard', directory: join(directory, 'cache') }),
        SiteModule.of(library, join(directory, 'site')),
      ],
    };
  }
}
