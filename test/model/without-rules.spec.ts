import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Workshop } from '../support/child-process.js';
import { OMISSIONS, type Omission } from './rules.js';
import type { SearchResult } from './search.js';

const ALL = process.env['LANE_CACHE_ROUNDS'] !== undefined;
const RUNS = Number(process.env['LANE_CACHE_ROUNDS'] ?? 1_000);
const SEED = Number(process.env['LANE_CACHE_SEED'] ?? 1);

/** Of each rule one that a few runs show; the others need the long run. */
const QUICK: readonly string[] = [
  'a fenced flight lands nothing',
  'positions of tags',
  'a tag moves the stamp',
  'who joined after the birth is moved',
  'all open flights are fenced, not only the last',
  'further callers queue',
  'an earlier flight lands nothing over a later one',
  'what is below the floor counts no more',
  'positions of tags survive it',
  'a tier that missed one is not trusted',
  'a removal is awaited',
  'word is left for the next one',
  'what expired on its way lands expired',
  'older values go first',
  'it joins forced flights alone',
  'they are fenced as others are',
];

const SEARCH = `
import { SCENES } from './test/model/scenes.js';
import { search } from './test/model/search.js';
const [scene, focus, seed, runs] = process.argv.slice(2);
console.log(JSON.stringify(await search({ ...SCENES[scene], ...JSON.parse(focus) }, { seed: Number(seed), runs: Number(runs), shrink: 'as-found' })));
`;

function withEdits(edits: Omission['edits']): Map<string, (source: string) => string> {
  const byFile = new Map<string, (source: string) => string>();
  for (const [file, text, instead] of edits) {
    const before = byFile.get(file) ?? ((source: string) => source);
    byFile.set(file, (source) => before(source).replace(text, () => instead));
  }
  return byFile;
}

it('every rule that can be left out stands where it is looked for, once', async () => {
  const edits = OMISSIONS.flatMap((omission) => omission.edits);
  const sources = new Map<string, string>();
  for (const file of new Set(edits.map(([at]) => at))) sources.set(file, await readFile(file, 'utf8'));
  const times = edits.map(([file, text]) => ({ file, text, times: (sources.get(file) ?? '').split(text).length - 1 }));
  expect(times.filter(({ times: found }) => found !== 1)).toEqual([]);
});

describe('the library without one of its rules', () => {
  let workshop: Workshop;
  const rows: string[] = [];
  beforeAll(async () => (workshop = await Workshop.build(['lib', 'test/model', 'test/support'])), 60_000);
  afterAll(async () => {
    await workshop.dispose();
    process.stdout.write(['rule | what was taken out | found by | after runs', ...rows, ''].join('\n'));
  });

  const omissions = OMISSIONS.filter(({ out }) => ALL || QUICK.includes(out));

  it.each(omissions.map((omission): [string, string, Omission] => [omission.rule, omission.out, omission]))(
    'is found out: %s, %s',
    async (rule, out, { edits, scene, focus }) => {
      const without = await workshop.variant(withEdits(edits));
      try {
        const child = await without.run(SEARCH, [scene, JSON.stringify(focus), String(SEED), String(RUNS)]);
        const result = JSON.parse(await child.line()) as SearchResult;
        const by = result.found === undefined ? 'nobody' : `${result.found.violation.split(' ')[0]} in '${scene}'`;
        rows.push(`${rule} | ${out} | ${by} | ${result.runs}`);
        expect(result.found?.violation).toBeDefined();
      } finally {
        await without.dispose();
      }
    },
    600_000,
  );
});
