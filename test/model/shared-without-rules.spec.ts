import { describe } from '@jest/globals';
import { findsEachOmission } from './harness/omissions.js';
import { MODEL } from './shared-log/model.js';
import { SCRIPTS } from './shared-log/scripts.js';

/** Those that a script or a few runs show; the others need the long run. Each with the seed that shows it. */
const QUICK: Readonly<Record<string, number>> = {
  'a record removes the entry': 1,
  'memory is emptied': 11,
  'the judgement of the server is followed': 5,
  'the disk is caught up from its own cursor': 10,
  'unpublished records are kept': 40,
  ...Object.fromEntries(Object.keys(SCRIPTS).map((out) => [out, 1])),
};

describe('the shared log without one of its rules', () => {
  findsEachOmission({ model: MODEL, folder: 'shared-log', quick: QUICK, quickRuns: 100 });
});
