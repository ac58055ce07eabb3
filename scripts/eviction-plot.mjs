// Draws docs/eviction.svg from docs/eviction.json, the result of `npm run bench -- --json eviction`. Copy that file there first.
import { readFileSync, writeFileSync } from 'node:fs';

const POLICIES = [
  ['exact LRU', '#9aa5b1'],
  ['adaptive, 1 a turn', '#2f6fde'],
  ['adaptive, 64 a turn', '#7fa8ee'],
  ['feasible', '#d7dde4'],
];
const [BAR, GAP, LEFT, TOP, HEIGHT] = [14, 22, 44, 54, 220];

const { rows } = JSON.parse(readFileSync(new URL('../docs/eviction.json', import.meta.url), 'utf8'));
const saved = new Map(rows[0].results.map(({ name, value }) => [name, value]));
const loads = [...new Set([...saved.keys()].map((name) => name.slice(0, name.indexOf(':'))))];

const group = POLICIES.length * BAR + GAP;
const width = LEFT + loads.length * group + 10;
const yOf = (percent) => TOP + HEIGHT * (1 - percent / 100);

const grid = [0, 25, 50, 75, 100].map(
  (percent) =>
    `<line x1="${LEFT}" x2="${width - 10}" y1="${yOf(percent)}" y2="${yOf(percent)}" stroke="#e5e9ee"/>` +
    text(LEFT - 6, yOf(percent) + 4, `${percent}`, 'end'),
);
const bars = loads.flatMap((load, index) =>
  POLICIES.map(([policy, colour], at) => {
    const percent = saved.get(`${load}: ${policy}`) ?? 0;
    const x = LEFT + index * group + GAP / 2 + at * BAR;
    const title = `<title>${load}, ${policy}: ${percent.toFixed(1)} %</title>`;
    return `<rect x="${x}" y="${yOf(percent).toFixed(1)}" width="${BAR - 2}" height="${((HEIGHT * percent) / 100).toFixed(1)}" fill="${colour}">${title}</rect>`;
  }),
);
const partsOf = loads.map((load) => load.split(', '));
const mixes = partsOf.map(([, mix], index) => text(LEFT + (index + 0.5) * group, TOP + HEIGHT + 16, mix, 'middle'));
const accesses = [...new Set(partsOf.map(([name]) => name))].map((name) => {
  const places = partsOf.flatMap(([each], index) => (each === name ? [index] : []));
  const middle = (places[0] + places.at(-1) + 1) / 2;
  return text(LEFT + middle * group, TOP + HEIGHT + 32, name, 'middle');
});
const legend = POLICIES.map(([policy, colour], index) => {
  const x = LEFT + index * 150;
  return `<rect x="${x}" y="28" width="12" height="12" fill="${colour}"/>${text(x + 18, 38, policy, 'start')}`;
});

const lines = [
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${TOP + HEIGHT + 42}" font-family="sans-serif" font-size="11">`,
  `<rect width="100%" height="100%" fill="white"/>`,
  text(LEFT, 16, 'Compute time saved by L1 and L2 together, in percent, at 500 entries', 'start'),
  ...legend,
  ...grid,
  ...bars,
  ...mixes,
  ...accesses,
  '</svg>',
];
writeFileSync(new URL('../docs/eviction.svg', import.meta.url), `${lines.join('\n')}\n`);

function text(x, y, words, anchor) {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="#3b4652">${words}</text>`;
}
