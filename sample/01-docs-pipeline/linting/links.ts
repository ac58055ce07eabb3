import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { marked, type Token, walkTokens } from 'marked';

export interface LinkReport {
  /** Headings by anchor, in the order of the document. */
  readonly outline: ReadonlyMap<string, string>;
  readonly links: number;
  /** Links to anchors and files that do not exist. Web addresses are not checked. */
  readonly broken: ReadonlySet<string>;
}

/** Follows those links of a document that lead to files on this disk. */
export function checkLinks(text: string, file: string): LinkReport {
  const outline = new Map<string, string>();
  const targets: string[] = [];
  void walkTokens(marked.lexer(text), (token: Token) => {
    if (token.type === 'heading') outline.set(anchorOf(token['text']), token['text']);
    if (token.type === 'link') targets.push(token['href']);
  });
  return {
    outline,
    links: targets.length,
    broken: new Set(targets.filter((target) => !resolves(target, outline, file))),
  };
}

function resolves(target: string, outline: ReadonlyMap<string, string>, file: string): boolean {
  if (target.startsWith('#')) return outline.has(target.slice(1).toLowerCase());
  if (/^([a-z][a-z0-9+.-]*:|\/)/i.test(target)) return true;
  const [path = ''] = target.split(/[#?]/, 1);
  return existsSync(join(dirname(file), path));
}

function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');
}
