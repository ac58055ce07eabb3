import type { SiteSummary, StepResult } from './step-result.js';

/** Adds up the results of the steps of all batches. */
export function summarize(results: readonly StepResult[]): SiteSummary {
  const sources = results.flatMap((result) => (result.kind === 'read' ? [...result.sources.values()] : []));
  const pages = results.flatMap((result) => (result.kind === 'render' ? [...result.pages.values()] : []));
  const reports = results.flatMap((result) => (result.kind === 'check' ? result.reports : []));
  const findings = new Map<string, number>();
  for (const report of reports) {
    for (const [rule, lines] of report.findings) findings.set(rule, (findings.get(rule) ?? 0) + lines.length);
  }
  return {
    documents: sources.length,
    words: sum(sources.map(({ words }) => words)),
    lastModified: new Date(Math.max(0, ...sources.map(({ modifiedAt }) => modifiedAt.getTime()))),
    pageBytes: sum(pages.map(({ bytes }) => bytes)),
    indexes: results.filter(({ kind }) => kind === 'index').length,
    findings,
    brokenLinks: sum(reports.map(({ broken }) => broken.size)),
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
