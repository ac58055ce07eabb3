import { describe } from '@jest/globals';
import { findsEachOmission } from './harness/omissions.js';
import { MODEL } from './two-logs/model.js';
import { SCRIPTS } from './two-logs/scripts.js';

/** Those that a few runs show; the others need the long run. Each with the seed that shows it. */
const QUICK: Readonly<Record<string, number>> = {
  'a copy is known by its id': 13,
  'a place that was not reached bars': 13,
  ...Object.fromEntries(Object.keys(SCRIPTS).map((out) => [out, 1])),
};

describe('the logs of a directory and of a server without one of their rules', () => {
  findsEachOmission({ model: MODEL, folder: 'two-logs', quick: QUICK, quickRuns: 200 });
});
