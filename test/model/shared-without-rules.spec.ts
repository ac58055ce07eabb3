import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Workshop } from '../support/child-process.js';
import { SHARED_OMISSIONS, type SharedOmission } from './shared-rules.js';
import type { SharedResult } from './shared-search.js';

const ALL = process.env['LANE_CACHE_ROUNDS'] !== undefined;
const RUNS = Number(process.env['LANE_CACHE_ROUNDS'] ?? 100);
const SEED = Number(process.env['LANE_CACHE_SEED'] ?? 1);

/** Those that a few runs show; the others need the long run. */
const QUICK: readonly string[] = [
  'the record takes the entry away',
  'memory is emptied',
  'what it judges is obeyed',
  'it is caught up from its own cursor',
  'what was not told is kept',
];

const SEARCH = `
import { SHARED_SCENES } from './test/model/shared-scenes.js';
import { searchShared } from './test/model/shared-search.js';
const [scene, focus, seed, runs] = process.argv.slice(2);
const look = { seed: Number(seed), runs: Number(runs), shrink: 'as-found' };
console.log(JSON.stringify(await searchShared({ ...SHARED_SCENES[scene], ...JSON.parse(focus) }, look)));
process.exit();
`;

function withEdits(edits: SharedOmission['edits']): Map<string, (source: string) => string> {
  const byFile = new Map<string, (source: string) => string>();
  for (const [file, text, instead] of edits) {
    const before = byFile.get(file) ?? ((source: string) => source);
    byFile.set(file, (source) => {
      expect([file, text, source.split(text).length - 1]).toEqual([file, text, 1]);
      return before(source).replace(text, () => instead);
    });
  }
  return byFile;
}

describe('the shared log without one of its rules', () => {
  let workshop: Workshop;
  const rows: string[] = [];
  beforeAll(async () => (workshop = await Workshop.build(['lib', 'test/model', 'test/support'])), 60_000);
  afterAll(async () => {
    await workshop.dispose();
    process.stdout.write(['rule | what was taken out | found by | after runs', ...rows, ''].join('\n'));
  });

  const omissions = SHARED_OMISSIONS.filter(({ out }) => ALL || QUICK.includes(out));

  it.each(omissions.map((omission): [string, string, SharedOmission] => [omission.rule, omission.out, omission]))(
    'is found out: %s, %s',
    async (rule, out, { edits, scene, focus }) => {
      const without = await workshop.variant(withEdits(edits));
      try {
        const child = await without.run(SEARCH, [scene, JSON.stringify(focus), String(SEED), String(RUNS)]);
        const result = JSON.parse(await child.line()) as SharedResult;
        const by = result.found === undefined ? 'nobody' : `${result.found.violation.split(' ')[0]} in '${scene}'`;
        rows.push(`${rule} | ${out} | ${by} | ${result.runs}`);
        expect(result.found?.violation).toBeDefined();
      } finally {
        await without.dispose();
      }
    },
    1_200_000,
  );
});
