import { describe } from '@jest/globals';
import { findsEachOmission } from './harness/omissions.js';
import { MODEL } from './process-log/model.js';

/** Of each rule one that a few runs show; the others need the long run. */
const QUICK: readonly string[] = [
  'an invalidated flight stores nothing',
  'tag records apply',
  'a tag moves the stamp',
  'a caller that joined after a late tag was invalidated moves on',
  'all open flights are invalidated, not only the last',
  'further callers queue',
  'an earlier flight does not overwrite a later one',
  'an entry below the floor does not count',
  'tag records survive a restart',
  'a tier that missed a removal is not trusted',
  'a removal is awaited',
  'a note is left for the next owner',
  'a value that expired during its computation is stored expired',
  'older values are removed before the new one is written',
  'a forced call joins forced flights only',
  'refreshes are guarded like other computations',
];

describe('the library without one of its rules', () => {
  findsEachOmission({ model: MODEL, folder: 'process-log', quick: QUICK, quickRuns: 1_000 });
});
