import TestSequencer from '@jest/test-sequencer';

/** Suites over processes, models and servers take longest, and those of units are over soon: they fill the end of a run. */
const ORDER = ['fault', 'model', 'e2e', 'property', 'concurrency', 'regressions'];

const placeOf = ({ path }) => {
  const place = ORDER.findIndex((folder) => path.includes(`/test/${folder}/`));
  return place < 0 ? ORDER.length : place;
};

export default class LongestFirst extends TestSequencer {
  async sort(tests) {
    const sorted = await super.sort(tests);
    return [...sorted].sort((a, b) => placeOf(a) - placeOf(b));
  }
}
