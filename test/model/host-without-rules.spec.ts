import { describe } from '@jest/globals';
import { findsEachOmission } from './harness/omissions.js';
import { MODEL } from './host-log/model.js';
import { SCRIPTS } from './host-log/scripts.js';

/** Those that a script or a few runs show; the others need the long run. Each with the seed that shows it. */
const QUICK: Readonly<Record<string, number>> = {
  'a hit in memory looks': 3,
  'an offer that was named since is refused': 6,
  'an owner that has not followed answers misses': 46,
  'a record is synced': 16,
  'what L3 has missed is carried out': 97,
  ...Object.fromEntries(Object.keys(SCRIPTS).map((out) => [out, 1])),
};

describe('the log of a directory without one of its rules', () => {
  findsEachOmission({ model: MODEL, folder: 'host-log', quick: QUICK, quickRuns: 600 });
});
