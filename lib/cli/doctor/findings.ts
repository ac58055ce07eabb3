import type { Terminal } from '../terminal.js';
import { many } from '../texts.js';

/** Something that is wrong, or soon will be. */
export interface Finding {
  readonly lane?: string;
  /** Stable, for scripts. */
  readonly code: string;
  readonly severity: 'error' | 'warning';
  /** The numbers or facts that prove it. */
  readonly evidence: string;
  /** What to change. */
  readonly advice: string;
}

export function findingsText(findings: readonly Finding[], { paint }: Terminal): string {
  if (findings.length === 0) return `${paint('green', 'Healthy:')} no findings.`;
  const paragraphs = findings.map(({ lane, code, severity, evidence, advice }) => {
    const head = `${paint(severity === 'error' ? 'red' : 'yellow', severity)}  ${paint('bold', code)}${lane === undefined ? '' : `  lane ${lane}`}`;
    return `${head}\n  ${evidence}\n  ${paint('cyan', '->')} ${advice}`;
  });
  return [...paragraphs, many(findings.length, 'finding')].join('\n\n');
}
