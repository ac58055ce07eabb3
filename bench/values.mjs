// The same keys and values for every contestant.

export const keys = (count, prefix = 'user') => Array.from({ length: count }, (_, index) => `${prefix}:${index}`);

export const smallObject = (index) => ({ id: index, name: `User ${index}`, active: true, roles: ['reader', 'writer'] });

/** About 1 KB when encoded. */
export const oneKilobyte = (index) => ({
  id: index,
  name: `Document ${index}`,
  tags: ['alpha', 'beta', 'gamma'],
  size: index * 31,
  text: text(index, 900),
});

/** Different for every index, so that no two values share memory. */
export function text(seed, length) {
  let state = (seed + 1) * 2_654_435_761;
  const words = [];
  for (let written = 0; written < length; written += 8) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    words.push(state.toString(36).padStart(7, 'a'));
  }
  return words.join(' ').slice(0, length);
}

/** 1 2 3 … in an order in which no neighbour follows another. */
export const scattered = (index, count) => (index * 7_919) % count;
