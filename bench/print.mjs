import { withVersions } from './peers.mjs';
import { round } from './row.mjs';

const VERDICTS = new Map([
  [true, 'met     '],
  [false, 'NOT MET '],
  [null, 'unknown '],
]);

/** A row as text: the figures, then each bar with its verdict. Peers are named with their versions. */
export function textOf({ title, unit, results, bars }) {
  const named = results.map(({ name, value }) => ({ name: withVersions(name), value }));
  const width = Math.max(...named.map(({ name }) => name.length));
  return [
    `\n${title}`,
    ...named.map(({ name, value }) => `  ${name.padEnd(width)}  ${figure(value, unit).padStart(12)}`),
    ...bars.map(({ text, met }) => `  ${VERDICTS.get(met)} ${text}`),
  ].join('\n');
}

function figure(value, unit) {
  return unit === 'ns' && value >= 10_000 ? `${round(value / 1_000)} us` : `${round(value)} ${unit}`.trim();
}
