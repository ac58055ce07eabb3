import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';

/** Larger files are change logs, which nobody reads completely. */
const MAX_BYTES = 32 * 1024;
const MIN_BYTES = 200;

export interface MarkdownDocument {
  /** The path below the root, with `/` on every platform. */
  readonly path: string;
  /** Its folder; in `node_modules` that is the package. */
  readonly title: string;
  readonly text: string;
  readonly modifiedAt: Date;
}

/** All Markdown below a folder, in an order that does not depend on the file system. */
export class Corpus {
  private readonly documents: ReadonlyMap<string, MarkdownDocument>;

  constructor(readonly root: string) {
    const documents = markdownFiles(root).map((file) => readDocument(root, file));
    this.documents = new Map(documents.map((document) => [document.path, document]));
  }

  get paths(): readonly string[] {
    return [...this.documents.keys()];
  }

  get all(): readonly MarkdownDocument[] {
    return [...this.documents.values()];
  }

  get(path: string): MarkdownDocument {
    const document = this.documents.get(path);
    if (document === undefined) throw new Error(`No document '${path}' below ${this.root}`);
    return document;
  }
}

function markdownFiles(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.md$/i.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => {
      const { size } = statSync(file);
      return size >= MIN_BYTES && size <= MAX_BYTES;
    })
    .toSorted((a, b) => (a < b ? -1 : 1));
}

function readDocument(root: string, file: string): MarkdownDocument {
  return {
    path: file.slice(root.length + 1).replaceAll(sep, '/'),
    title: basename(dirname(file)),
    text: readFileSync(file, 'utf8'),
    modifiedAt: statSync(file).mtime,
  };
}
