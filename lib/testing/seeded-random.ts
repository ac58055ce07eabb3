/**
 * Fractions in [0, 1), the same ones for the same seed: a Weyl sequence (steps of the golden ratio) whose members are
 * mixed by two multiplications, so that neighbours share no pattern. Good enough for faults, not for secrets.
 */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}
