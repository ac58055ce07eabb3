import { round } from './row.mjs';

const VERDICTS = new Map([
  [true, 'met     '],
  [false, 'NOT MET '],
  [null, 'unknown '],
]);

/** A row as text: the figures, then each bar with its verdict. */
export function textOf({ title, unit, results, bars }) {
  const width = Math.max(...results.map(({ name }) => name.length));
  return [
    `\n${title}`,
    ...results.map(({ name, value }) => `  ${name.padEnd(width)}  ${figure(value, unit).padStart(12)}`),
    ...bars.map(({ text, met }) => `  ${VERDICTS.get(met)} ${text}`),
  ].join('\n');
}

function figure(value, unit) {
  return unit === 'ns' && value >= 10_000 ? `${round(value / 1_000)} us` : `${round(value)} ${unit}`.trim();
}
