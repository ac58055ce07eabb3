import { describe } from '@jest/globals';
import { findsEachOmission } from './harness/omissions.js';
import { MODEL } from './host-log/model.js';
import { SCRIPTS } from './host-log/scripts.js';

/** Those that a script or a few runs show; the others need the long run. */
const QUICK: readonly string[] = [
  'a hit in memory looks',
  'an offer that was named since is refused',
  'an owner that has not followed answers misses',
  'a record is synced',
  'what L3 has missed is carried out',
  ...Object.keys(SCRIPTS),
];

describe('the log of a directory without one of its rules', () => {
  findsEachOmission({ model: MODEL, folder: 'host-log', quick: QUICK, quickRuns: 600 });
});
