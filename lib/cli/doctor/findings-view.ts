import type { Terminal } from '../terminal.js';
import { many } from '../texts.js';
import type { Finding } from './finding.js';

export function findingsText(findings: readonly Finding[], { paint }: Terminal): string {
  if (findings.length === 0) return `${paint('green', 'Healthy:')} nothing was found.`;
  const paragraphs = findings.map(({ lane, code, severity, evidence, advice }) => {
    const head = `${paint(severity === 'error' ? 'red' : 'yellow', severity)}  ${paint('bold', code)}${lane === undefined ? '' : `  lane ${lane}`}`;
    return `${head}\n  ${evidence}\n  ${paint('cyan', '->')} ${advice}`;
  });
  return [...paragraphs, many(findings.length, 'finding')].join('\n\n');
}
