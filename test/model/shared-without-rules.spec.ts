import { describe } from '@jest/globals';
import { SHARED_OMISSIONS } from './shared-rules.js';
import { proveEachIsMissed } from './without.js';

/** Those that a few runs show; the others need the long run. */
const QUICK: readonly string[] = [
  'the record takes the entry away',
  'memory is emptied',
  'what it judges is obeyed',
  'it is caught up from its own cursor',
  'what was not told is kept',
];

const SEARCH = `
import { SHARED_SCENES } from './test/model/shared-scenes.js';
import { searchShared } from './test/model/shared-search.js';
const [scene, focus, seed, runs] = process.argv.slice(2);
const look = { seed: Number(seed), runs: Number(runs), shrink: 'as-found' };
console.log(JSON.stringify(await searchShared({ ...SHARED_SCENES[scene], ...JSON.parse(focus) }, look)));
process.exit();
`;

describe('the shared log without one of its rules', () => {
  proveEachIsMissed({
    omissions: SHARED_OMISSIONS,
    quick: QUICK,
    quickRuns: 100,
    search: SEARCH,
  });
});
