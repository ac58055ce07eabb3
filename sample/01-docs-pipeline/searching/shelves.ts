import type { MarkdownDocument } from '../corpus/corpus.js';

/** The shelf that holds every document. */
export const WHOLE_LIBRARY = 'all';

/** The documents of a library are sorted onto shelves by the first letter of their title. */
export function shelfOf(document: MarkdownDocument): string {
  return /[a-z0-9]/i.exec(document.title)?.[0].toLowerCase() ?? '#';
}

export function onShelf(documents: readonly MarkdownDocument[], shelf: string): readonly MarkdownDocument[] {
  return shelf === WHOLE_LIBRARY ? documents : documents.filter((document) => shelfOf(document) === shelf);
}
