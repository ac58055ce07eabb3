import { describe } from '@jest/globals';
import { findsEachOmission } from './harness/omissions.js';
import { MODEL } from './two-logs/model.js';
import { SCRIPTS } from './two-logs/scripts.js';

/** Those that a few runs show; the others need the long run. */
const QUICK: readonly string[] = [
  'a copy is known by its id',
  'a place that was not reached bars',
  ...Object.keys(SCRIPTS),
];

describe('the logs of a directory and of a server without one of their rules', () => {
  findsEachOmission({ model: MODEL, folder: 'two-logs', quick: QUICK, quickRuns: 200 });
});
