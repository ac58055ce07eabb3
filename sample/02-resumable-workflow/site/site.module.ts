import { type DynamicModule, Module } from '@nestjs/common';
import { CorpusModule } from '../../01-docs-pipeline/corpus/corpus.module.js';
import { LintingModule } from '../../01-docs-pipeline/linting/linting.module.js';
import { RenderingModule } from '../../01-docs-pipeline/rendering/rendering.module.js';
import { SiteFolder } from './site-folder.js';
import { SiteJob } from './site-job.js';

@Module({ imports: [RenderingModule, LintingModule], providers: [SiteJob], exports: [SiteJob, SiteFolder] })
export class SiteModule {
  /** The site of the Markdown below `library`, built into `folder`. */
  static of(library: string, folder: string): DynamicModule {
    return {
      module: SiteModule,
      imports: [CorpusModule.below(library)],
      providers: [{ provide: SiteFolder, useFactory: () => new SiteFolder(folder) }],
    };
  }
}
