import type { NativeRoot, NativeTable } from './native-lmdb.js';

const META_PAGES = 2;

/** lmdb-js declares that there are statistics, but not which. */
const statOf = (stats: object, name: string): unknown => Reflect.get(stats, name);

const numberOf = (stats: object, name: string): number => {
  const value = statOf(stats, name);
  if (typeof value !== 'number') throw new TypeError(`lmdb says nothing about ${name}.`);
  return value;
};

const pagesOf = (tree: unknown): number => {
  if (typeof tree !== 'object' || tree === null) throw new TypeError('lmdb says nothing about its pages.');
  return numberOf(tree, 'treeBranchPageCount') + numberOf(tree, 'treeLeafPageCount') + numberOf(tree, 'overflowPages');
};

/**
 * Bytes of pages inside the data file that no table, no list and no meta page uses; LMDB takes them before it lets the
 * file grow. `tables` must be all there are.
 */
export const freePageBytes = (root: NativeRoot, tables: Iterable<NativeTable>): number => {
  const stats = root.getStats();
  let used = META_PAGES + pagesOf(statOf(stats, 'root')) + pagesOf(statOf(stats, 'free'));
  for (const table of tables) used += pagesOf(table.getStats());
  return Math.max(0, numberOf(stats, 'lastPageNumber') + 1 - used) * numberOf(stats, 'pageSize');
};

/** Where the last page ends that LMDB has ever used: behind it, the file is not used yet. */
export const usedEnd = (root: NativeRoot): number => {
  const stats = root.getStats();
  return (numberOf(stats, 'lastPageNumber') + 1) * numberOf(stats, 'pageSize');
};
