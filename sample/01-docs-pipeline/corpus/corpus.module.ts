import { type DynamicModule, Module } from '@nestjs/common';
import { Corpus } from './corpus.js';

@Module({})
export class CorpusModule {
  static below(root: string): DynamicModule {
    const corpus = { provide: Corpus, useFactory: () => new Corpus(root) };
    return { module: CorpusModule, global: true, providers: [corpus], exports: [Corpus] };
  }
}
