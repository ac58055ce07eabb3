import { type DynamicModule, Module } from '@nestjs/common';
import { LaneCacheModule, type LanePolicyInput } from 'nestjs-lane-cache';
import { CorpusModule } from './corpus/corpus.module.js';
import { LintingModule } from './linting/linting.module.js';
import { RenderingModule } from './rendering/rendering.module.js';
import { SearchingModule } from './searching/searching.module.js';

/** Every call bypasses the cache, which shows what the same app does without one. */
const BYPASSED: Readonly<Record<string, LanePolicyInput>> = {
  docs: { exclude: ['*'] },
  standard: { exclude: ['*'] },
  heavy: { exclude: ['*'] },
};

@Module({ imports: [RenderingModule, LintingModule, SearchingModule] })
export class AppModule {
  static of(library: string, directory: string, caching: 'cached' | 'uncached'): DynamicModule {
    const lanes = caching === 'cached' ? {} : BYPASSED;
    return {
      module: AppModule,
      imports: [LaneCacheModule.forRoot({ lane: 'standard', directory, lanes }), CorpusModule.below(library)],
    };
  }
}
