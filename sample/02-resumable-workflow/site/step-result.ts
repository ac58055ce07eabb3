import type { LintReport } from '../../01-docs-pipeline/linting/linter.service.js';

export interface WrittenFile {
  /** The path below the site's folder. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface SourceDocument {
  readonly title: string;
  readonly words: number;
  readonly modifiedAt: Date;
  readonly sha256: string;
}

/** The result of a step for the steps after it. Pages and indexes are in files; the result only describes them. */
export type StepResult =
  | { readonly kind: 'read'; readonly sources: ReadonlyMap<string, SourceDocument> }
  | { readonly kind: 'render'; readonly pages: ReadonlyMap<string, WrittenFile> }
  | { readonly kind: 'check'; readonly reports: readonly LintReport[] }
  | { readonly kind: 'index'; readonly index: WrittenFile; readonly terms: number }
  | { readonly kind: 'summary'; readonly summary: SiteSummary };

export interface SiteSummary {
  readonly documents: number;
  readonly words: number;
  readonly lastModified: Date;
  readonly pageBytes: number;
  readonly indexes: number;
  /** How often each rule is broken. */
  readonly findings: ReadonlyMap<string, number>;
  readonly brokenLinks: number;
}
