import { describe } from '@jest/globals';
import { OMISSIONS } from './rules.js';
import { proveEachIsMissed } from './without.js';

/** Of each rule one that a few runs show; the others need the long run. */
const QUICK: readonly string[] = [
  'a fenced flight lands nothing',
  'positions of tags',
  'a tag moves the stamp',
  'who joined after the birth is moved',
  'all open flights are fenced, not only the last',
  'further callers queue',
  'an earlier flight lands nothing over a later one',
  'what is below the floor counts no more',
  'positions of tags survive it',
  'a tier that missed one is not trusted',
  'a removal is awaited',
  'word is left for the next one',
  'what expired on its way lands expired',
  'older values go first',
  'it joins forced flights alone',
  'they are fenced as others are',
];

const SEARCH = `
import { SCENES } from './test/model/scenes.js';
import { search } from './test/model/search.js';
const [scene, focus, seed, runs] = process.argv.slice(2);
console.log(JSON.stringify(await search({ ...SCENES[scene], ...JSON.parse(focus) }, { seed: Number(seed), runs: Number(runs), shrink: 'as-found' })));
`;

describe('the library without one of its rules', () => {
  proveEachIsMissed({
    omissions: OMISSIONS,
    quick: QUICK,
    quickRuns: 1_000,
    search: SEARCH,
  });
});
