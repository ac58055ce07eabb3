import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { lint } from 'markdownlint/sync';
import { Cached } from 'nestjs-lane-cache';
import { Corpus } from '../corpus/corpus.js';
import { checkLinks, type LinkReport } from './links.js';

export interface LintReport extends LinkReport {
  readonly path: string;
  readonly modifiedAt: Date;
  readonly words: number;
  /** The lines that break each rule. */
  readonly findings: ReadonlyMap<string, readonly number[]>;
}

@Injectable()
export class LinterService {
  constructor(private readonly corpus: Corpus) {}

  /** The problems of a document: its style, and links that lead nowhere. */
  @Cached({ lane: 'standard', key: 'lint:{0}', tags: ['document:{0}'] })
  async check(path: string): Promise<LintReport> {
    const { text, modifiedAt } = this.corpus.get(path);
    return {
      path,
      modifiedAt,
      words: text.split(/\s+/).length,
      findings: findingsOf(path, text),
      ...checkLinks(text, join(this.corpus.root, path)),
    };
  }
}

function findingsOf(path: string, text: string): ReadonlyMap<string, readonly number[]> {
  const findings = new Map<string, number[]>();
  for (const { ruleNames, lineNumber } of lint({ strings: { [path]: text } })[path] ?? []) {
    const rule = ruleNames[0] ?? 'unknown';
    findings.set(rule, [...(findings.get(rule) ?? []), lineNumber]);
  }
  return findings;
}
