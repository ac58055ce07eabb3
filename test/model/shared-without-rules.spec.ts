import { describe } from '@jest/globals';
import { findsEachOmission } from './harness/omissions.js';
import { MODEL } from './shared-log/model.js';
import { SCRIPTS } from './shared-log/scripts.js';

/** Those that a script or a few runs show; the others need the long run. */
const QUICK: readonly string[] = [
  'a record removes the entry',
  'memory is emptied',
  'the judgement of the server is followed',
  'the disk is caught up from its own cursor',
  'unpublished records are kept',
  ...Object.keys(SCRIPTS),
];

describe('the shared log without one of its rules', () => {
  findsEachOmission({ model: MODEL, folder: 'shared-log', quick: QUICK, quickRuns: 100 });
});
