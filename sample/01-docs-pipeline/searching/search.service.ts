import { Injectable } from '@nestjs/common';
import MiniSearch, { type Options } from 'minisearch';
import { Cached, type CacheManager, InjectLane } from 'nestjs-lane-cache';
import { Corpus, type MarkdownDocument } from '../corpus/corpus.js';
import { onShelf } from './shelves.js';

const INDEX_OPTIONS: Options<MarkdownDocument> = { idField: 'path', fields: ['title', 'text'], storeFields: ['title'] };
const BEST = 10;

export interface SearchHit {
  readonly path: string;
  readonly title: string;
  readonly score: number;
  readonly terms: readonly string[];
}

@Injectable()
export class SearchService {
  constructor(
    private readonly corpus: Corpus,
    @InjectLane('heavy') private readonly cache: CacheManager,
  ) {}

  /** The best documents of a shelf for a query. */
  @Cached({ lane: 'heavy', key: 'search:{0}:{1}', tags: ['shelf:{0}'] })
  async search(shelf: string, query: string): Promise<readonly SearchHit[]> {
    const index = MiniSearch.loadJSON<MarkdownDocument>(await this.indexOf(shelf), INDEX_OPTIONS);
    return index
      .search(query, { prefix: true, fuzzy: 0.2, boost: { title: 3 } })
      .slice(0, BEST)
      .map(({ id, title, score, terms }) => ({ path: id, title, score, terms }));
  }

  /** The full-text index of a shelf, as the text in which MiniSearch saves itself. */
  private indexOf(shelf: string): Promise<string> {
    return this.cache.getOrSet(`index:${shelf}`, () => this.buildIndex(shelf), { tags: [`shelf:${shelf}`] });
  }

  private buildIndex(shelf: string): string {
    const index = new MiniSearch<MarkdownDocument>(INDEX_OPTIONS);
    index.addAll(onShelf(this.corpus.all, shelf));
    return JSON.stringify(index);
  }
}
