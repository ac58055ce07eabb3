import { describe } from '@jest/globals';
import { findsEachOmission } from './harness/omissions.js';
import { MODEL } from './process-log/model.js';

/** Of each rule one that a few runs show; the others need the long run. Each with the seed that shows it. */
const QUICK: Readonly<Record<string, number>> = {
  'an invalidated flight stores nothing': 1,
  'tag records apply': 1,
  'a tag moves the stamp': 1,
  'a caller that joined after a late tag was invalidated moves on': 56,
  'all open flights are invalidated, not only the last': 32,
  'further callers queue': 4,
  'an earlier flight does not overwrite a later one': 8,
  'an entry below the floor does not count': 7,
  'tag records survive a restart': 5,
  'a tier that missed a removal is not trusted': 17,
  'a removal is awaited': 2,
  'a note is left for the next owner': 7,
  'a value that expired during its computation is stored expired': 1,
  'older values are removed before the new one is written': 513,
  'a forced call joins forced flights only': 7,
  'refreshes are guarded like other computations': 30,
};

describe('the library without one of its rules', () => {
  findsEachOmission({ model: MODEL, folder: 'process-log', quick: QUICK, quickRuns: 1_000 });
});
