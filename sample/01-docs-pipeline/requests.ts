import type { Corpus } from './corpus/corpus.js';
import { seededRandom } from './random.js';
import { shelfOf, WHOLE_LIBRARY } from './searching/shelves.js';

/** Web requests fall off with rank to the power of about 0.64 to 0.83 (Breslau and others, INFOCOM 1999). */
const SKEW = 0.8;
const RENDERINGS = 2_000;
const CHECKS = 1_000;
const SEARCHES = 200;
/** Most readers know where to search; one search in this many covers the whole library. */
const LIBRARY_WIDE_EVERY = 50;

export interface SearchRequest {
  readonly shelf: string;
  readonly query: string;
}

/** A day of requests: the same ones in every run, so that runs can be compared. */
export interface Requests {
  readonly renderings: readonly string[];
  readonly checks: readonly string[];
  readonly searches: readonly SearchRequest[];
}

export function requestsFor(corpus: Corpus): Requests {
  const titles = new Map(corpus.all.map((document) => [document.title, shelfOf(document)]));
  return {
    renderings: zipf(corpus.paths, RENDERINGS, 1),
    checks: zipf(corpus.paths, CHECKS, 2),
    searches: zipf([...titles], SEARCHES, 3).map(([query, shelf], index) => ({
      shelf: (index + 1) % LIBRARY_WIDE_EVERY === 0 ? WHOLE_LIBRARY : shelf,
      query,
    })),
  };
}

/** `count` draws from `subjects`: a few come often, most come seldom. */
function zipf<T>(subjects: readonly T[], count: number, seed: number): T[] {
  const random = seededRandom(seed);
  const ranked = shuffled(subjects, random);
  let total = 0;
  const upTo = ranked.map((_, index) => (total += (index + 1) ** -SKEW));
  return Array.from({ length: count }, () => random() * total).flatMap((drawn) => {
    const rank = upTo.findIndex((sum) => sum >= drawn);
    return ranked.slice(rank, rank + 1);
  });
}

function shuffled<T>(subjects: readonly T[], random: () => number): T[] {
  return subjects
    .map((subject) => ({ subject, order: random() }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ subject }) => subject);
}
