import { createHash } from 'node:crypto';

/** The same numbers in [0, 1) for the same seed, on every machine. */
export function seededRandom(seed: number): () => number {
  let drawn = 0;
  return () => {
    drawn += 1;
    return createHash('sha256').update(`${seed}:${drawn}`).digest().readUInt32BE() / 2 ** 32;
  };
}
