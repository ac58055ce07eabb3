import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** A piece of code on a page. */
export interface DocBlock {
  readonly page: string;
  /** Of its first line of code, counted from 1. */
  readonly line: number;
  readonly language: string;
  /** What stands behind the language, such as `run`. */
  readonly remark: string;
  readonly code: string;
}

export interface DocLink {
  readonly page: string;
  readonly line: number;
  /** Relative to the root; undefined for addresses elsewhere. */
  readonly path: string | undefined;
  readonly anchor: string | undefined;
}

/** A Markdown page of this repository. */
export interface DocPage {
  /** Relative to the root. */
  readonly path: string;
  readonly blocks: readonly DocBlock[];
  readonly links: readonly DocLink[];
  /** What `#…` may name. */
  readonly anchors: ReadonlySet<string>;
}

const FENCE = /^\s*```(\S*)\s*(.*)$/;
const HEADING = /^#{1,6}\s+(.+)$/;
const LINK = /\[(?:[^\]]|\](?!\())*\]\(([^)\s]+)\)/g;

/** The pages a user reads: the README, docs/, and what stands beside them. */
export function readDocPages(root: string): readonly DocPage[] {
  const docs = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
  const samples = readdirSync(join(root, 'sample')).map((name) => `sample/${name}/README.md`);
  const beside = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'bench/README.md'];
  return [...beside, ...docs.map((name) => `docs/${name}`), ...samples]
    .filter((path) => existsSync(join(root, path)))
    .map((path) => readDocPage(path, readFileSync(join(root, path), 'utf8')));
}

export function readDocPage(path: string, text: string): DocPage {
  const blocks: DocBlock[] = [];
  const links: DocLink[] = [];
  const headings: string[] = [];
  let open: { readonly language: string; readonly remark: string; readonly line: number; code: string[] } | undefined;
  text.split('\n').forEach((content, index) => {
    const fence = FENCE.exec(content);
    if (open !== undefined) {
      if (fence === null) open.code.push(content);
      else {
        blocks.push({ ...open, page: path, code: open.code.join('\n') });
        open = undefined;
      }
    } else if (fence !== null) {
      open = { language: fence[1] ?? '', remark: fence[2] ?? '', line: index + 2, code: [] };
    } else {
      const heading = HEADING.exec(content)?.[1];
      if (heading !== undefined) headings.push(heading);
      for (const [, target = ''] of content.matchAll(LINK)) links.push(linkOf(path, index + 1, target));
    }
  });
  return { path, blocks, links, anchors: anchorsOf(headings) };
}

function linkOf(page: string, line: number, target: string): DocLink {
  if (/^[a-z]+:/.test(target)) return { page, line, path: undefined, anchor: undefined };
  const [path = '', anchor] = target.split('#');
  return { page, line, path: path === '' ? page : normalize(join(dirname(page), path)), anchor };
}

/** As GitHub makes them: letters, digits, `-` and `_` of the heading in lower case, a number behind a repeated one. */
function anchorsOf(headings: readonly string[]): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const heading of headings) {
    const slug = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-');
    let anchor = slug;
    for (let n = 1; anchors.has(anchor); n++) anchor = `${slug}-${n}`;
    anchors.add(anchor);
  }
  return anchors;
}
