// Measures contestants side by side: A B C, A B C, … so that whatever else the machine does falls on all of them.

/**
 * @typedef {object} Contestant
 * @property {string} name
 * @property {(index: number) => unknown} turn One operation; awaited unless `synchronous`.
 * @property {boolean} [synchronous]
 */

/**
 * @param {readonly Contestant[]} contestants
 * @param {{ rounds?: number, budgetMs?: number }} [options] How long each may take in a round.
 * @returns {Promise<Map<string, number>>} The median nanoseconds of an operation, by name.
 */
export async function race(contestants, { rounds = 9, budgetMs = 120 } = {}) {
  const lanes = [];
  for (const contestant of contestants)
    lanes.push({ contestant, turns: await calibrate(contestant, budgetMs), taken: [], at: 0 });
  for (let round = 0; round < rounds; round++) {
    for (const lane of lanes) {
      globalThis.gc?.();
      lane.taken.push((await run(lane.contestant, lane.at, lane.turns)) / lane.turns);
      lane.at += lane.turns;
    }
  }
  return new Map(lanes.map(({ contestant, taken }) => [contestant.name, median(taken)]));
}

export function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Warms up, and finds how many turns fill the budget. */
async function calibrate(contestant, budgetMs) {
  let turns = 16;
  for (let attempt = 0; attempt < 24; attempt++) {
    const nanoseconds = await run(contestant, 0, turns);
    if (nanoseconds >= budgetMs * 1e6) break;
    turns = Math.ceil(turns * Math.min(4, Math.max(1.1, (budgetMs * 1e6) / nanoseconds)));
  }
  return turns;
}

async function run({ turn, synchronous }, from, turns) {
  const startedAt = performance.now();
  if (synchronous) for (let index = from; index < from + turns; index++) turn(index);
  else for (let index = from; index < from + turns; index++) await turn(index);
  return (performance.now() - startedAt) * 1e6;
}
