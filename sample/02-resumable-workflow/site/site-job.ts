import { Injectable } from '@nestjs/common';
import MiniSearch from 'minisearch';
import { Corpus, type MarkdownDocument } from '../../01-docs-pipeline/corpus/corpus.js';
import { LinterService, type LintReport } from '../../01-docs-pipeline/linting/linter.service.js';
import { RendererService } from '../../01-docs-pipeline/rendering/renderer.service.js';
import type { Job, Step } from '../workflow/job.js';
import { sha256, SiteFolder } from './site-folder.js';
import { summarize } from './site-summary.js';
import type { SourceDocument, StepResult, WrittenFile } from './step-result.js';

/** Enough to be worth resuming, and finished in a few seconds. */
const MOST_DOCUMENTS = 160;
const BATCH = 20;

/** Builds a site of a corpus: four steps for each batch of documents, and a summary at the end. */
@Injectable()
export class SiteJob implements Job<StepResult> {
  readonly documents: readonly MarkdownDocument[];
  readonly steps: readonly Step<StepResult>[];

  constructor(
    corpus: Corpus,
    private readonly renderer: RendererService,
    private readonly linter: LinterService,
    private readonly site: SiteFolder,
  ) {
    this.documents = corpus.all.slice(0, MOST_DOCUMENTS);
    const batches = Math.ceil(this.documents.length / BATCH);
    this.steps = [
      ...Array.from({ length: batches }, (_, index) => this.stepsOf(index + 1)).flat(),
      { name: 'summary', run: (earlier) => this.summary(earlier) },
    ];
  }

  private stepsOf(batch: number): readonly Step<StepResult>[] {
    const documents = this.documents.slice((batch - 1) * BATCH, batch * BATCH);
    const of = `batch ${batch}`;
    return [
      { name: `read, ${of}`, run: async () => read(documents) },
      { name: `render, ${of}`, run: () => this.render(documents) },
      { name: `check, ${of}`, run: () => this.check(documents) },
      { name: `index, ${of}`, run: () => this.index(batch, documents) },
    ];
  }

  private async render(documents: readonly MarkdownDocument[]): Promise<StepResult> {
    const pages = new Map<string, WrittenFile>();
    for (const { path } of documents) {
      pages.set(path, await this.site.write(`pages/${path}.html`, await this.renderer.render(path)));
    }
    return { kind: 'render', pages };
  }

  private async check(documents: readonly MarkdownDocument[]): Promise<StepResult> {
    const reports: LintReport[] = [];
    for (const { path } of documents) reports.push(await this.linter.check(path));
    return { kind: 'check', reports };
  }

  private async index(batch: number, documents: readonly MarkdownDocument[]): Promise<StepResult> {
    const index = new MiniSearch<MarkdownDocument>({ idField: 'path', fields: ['title', 'text'] });
    index.addAll(documents);
    return {
      kind: 'index',
      index: await this.site.write(`search/${batch}.json`, JSON.stringify(index)),
      terms: index.termCount,
    };
  }

  private async summary(earlier: readonly StepResult[]): Promise<StepResult> {
    const summary = summarize(earlier);
    await this.site.write('summary.json', JSON.stringify({ ...summary, findings: [...summary.findings] }, null, 2));
    return { kind: 'summary', summary };
  }
}

function read(documents: readonly MarkdownDocument[]): StepResult {
  const sources = new Map<string, SourceDocument>();
  for (const { path, title, text, modifiedAt } of documents) {
    sources.set(path, { title, words: text.split(/\s+/).length, modifiedAt, sha256: sha256(text) });
  }
  return { kind: 'read', sources };
}
