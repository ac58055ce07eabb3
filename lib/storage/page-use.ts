import { openNativeTable, tableNames } from './native-lmdb.js';
import type { NativeRoot, NativeTable } from './native-lmdb.js';

interface TreeStats {
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

interface EnvironmentStats extends TreeStats {
  readonly pageSize: number;
  readonly lastPageNumber: number;
  readonly root: TreeStats;
  readonly free: TreeStats;
}

const META_PAGES = 2;

/** lmdb-js declares `{}`; the shape is pinned with its version. */
const statsOf = (map: NativeTable): EnvironmentStats => map.getStats() as EnvironmentStats;
const pagesOf = (tree: TreeStats): number => tree.treeBranchPageCount + tree.treeLeafPageCount + tree.overflowPages;

/** Bytes of pages inside the data file that no table, no list and no meta page uses. LMDB reuses them before it grows. */
export const freePageBytes = (root: NativeRoot): number => {
  const { pageSize, lastPageNumber, root: main, free } = statsOf(root);
  let used = META_PAGES + pagesOf(main) + pagesOf(free);
  for (const name of tableNames(root)) used += pagesOf(statsOf(openNativeTable(root, name)));
  return Math.max(0, lastPageNumber + 1 - used) * pageSize;
};
