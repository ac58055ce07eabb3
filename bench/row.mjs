// What a row of the result is made of.

/** `ours` may be at most `limit` times `theirs`. */
export function atMost(ours, theirs, limit, against) {
  const ratio = ours / theirs;
  return { text: `${round(ratio)}x ${against}, at most ${limit}x`, ratio, limit, met: ratio <= limit };
}

/** `theirs` must take at least `limit` times what `ours` takes. */
export function fasterThan(ours, theirs, limit, against) {
  const ratio = theirs / ours;
  return { text: `${round(ratio)}x faster than ${against}, at least ${limit}x`, ratio, limit, met: ratio >= limit };
}

/** A figure that has a limit of its own. */
export function under(value, limit, unit, what) {
  return {
    text: `${what} ${round(value)} ${unit}, at most ${limit} ${unit}`,
    ratio: limit === 0 ? value : value / limit,
    limit,
    met: value <= limit,
  };
}

/** Bars that need a contestant who could not start. */
export function withheld(against, why) {
  return { text: `against ${against}: not measured, ${why}`, ratio: null, limit: null, met: null };
}

export function row(title, unit, measured, bars) {
  return { title, unit, results: [...measured].map(([name, value]) => ({ name, value })), bars };
}

export function round(value) {
  if (value >= 100) return Math.round(value).toString();
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
