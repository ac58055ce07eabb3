import { type DynamicModule, Module } from '@nestjs/common';
import { LaneCacheModule, type LanePolicyInput } from 'nestjs-lane-cache';
import { CorpusModule } from '../01-docs-pipeline/corpus/corpus.module.js';
import { RenderingModule } from '../01-docs-pipeline/rendering/rendering.module.js';

/** Of some hundred documents the lane has room for few, so that what it keeps decides. */
const SMALL: LanePolicyInput = { l1: { maxEntries: 20 }, l2: { enabled: true, maxEntries: 80 } };

export type Keeping = 'nothing' | 'lru' | 'adaptive';

@Module({ imports: [RenderingModule] })
export class AppModule {
  static of(library: string, directory: string, keeping: Keeping): DynamicModule {
    const docs = keeping === 'nothing' ? { exclude: ['*'] } : { ...SMALL, eviction: keeping };
    return {
      module: AppModule,
      imports: [LaneCacheModule.forRoot({ lane: 'docs', directory, lanes: { docs } }), CorpusModule.below(library)],
    };
  }
}
