import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { edited, Workshop } from '../../support/child-process.js';
import type { Edit, Model, Omission } from './model.js';

/** Which rules of a model are left out, and how long each is looked for. */
export interface Proof<Scene, Step> {
  readonly model: Model<Scene, Step>;
  /** The folder of the model below test/model. */
  readonly folder: string;
  /** Those that `quickRuns` show, and the seed whose run shows them first; the others need the long run. */
  readonly quick: Readonly<Record<string, number>>;
  readonly quickRuns: number;
}

interface SearchOutcome {
  readonly runs: number;
  readonly found?: { readonly violation: string };
}

const ROUNDS = process.env['LANE_CACHE_ROUNDS'];
const SEED = process.env['LANE_CACHE_SEED'] ?? (ROUNDS === undefined ? undefined : '1');
const LONGEST_MS = 1_200_000;

/** Leaves out one rule after the other, in a copy of the library, and prints which promise showed it. */
export function findsEachOmission<Scene, Step>({ model, folder, quick, quickRuns }: Proof<Scene, Step>): void {
  const runs = ROUNDS ?? String(quickRuns);
  const wanted = model.omissions.filter(({ out }) => ROUNDS !== undefined || out in quick);
  const program = searchProgram(folder);

  let workshop: Workshop;
  const rows: string[] = [];
  beforeAll(async () => (workshop = await Workshop.build(['lib', 'test/model', 'test/support'])), 60_000);
  afterAll(async () => {
    await workshop.dispose();
    process.stdout.write(['rule | what was taken out | found by | after runs', ...rows, ''].join('\n'));
  });

  it('has each rule once at the place where it is taken out', async () => {
    expect(await misplaced(model.omissions.flatMap(({ edits }) => edits))).toEqual([]);
  });

  it.each(wanted.map((omission): [string, string, Omission<Scene>] => [omission.rule, omission.out, omission]))(
    'breaks a promise: %s, %s',
    async (rule, out, { edits, scene, focus, script = [] }) => {
      const without = await workshop.variant(byFile(edits));
      try {
        const seed = SEED ?? String(quick[out]);
        const child = await without.run(program, [scene, JSON.stringify(focus), seed, runs, JSON.stringify(script)]);
        const outcome = JSON.parse(await child.line()) as SearchOutcome;
        const violation = outcome.found?.violation;
        const by = violation === undefined ? 'nothing' : `${violation.split(' ')[0]} in '${scene}'`;
        rows.push(`${rule} | ${out} | ${by} | ${outcome.runs}`);
        expect(violation).toBeDefined();
      } finally {
        await without.dispose();
      }
    },
    LONGEST_MS,
  );
}

/** Is given the scene, the focus, the seed, the runs and a script, and prints a `SearchOutcome` as JSON. */
const searchProgram = (folder: string): string => `
import { MODEL } from './test/model/${folder}/model.js';
import { replay, search } from './test/model/harness/search.js';
const [name, focus, seed, runs, script] = process.argv.slice(2);
const { violation } = await replay(MODEL, MODEL.scenes.everything, JSON.parse(script));
const options = { seed: Number(seed), runs: Number(runs), shrink: 'as-found' };
const searched = () => search(MODEL, { ...MODEL.scenes[name], ...JSON.parse(focus) }, options);
console.log(JSON.stringify(violation === undefined ? await searched() : { runs: 0, found: { violation } }));
process.exit();
`;

async function misplaced(edits: readonly Edit[]): Promise<readonly object[]> {
  const sources = new Map<string, string>();
  for (const file of new Set(edits.map(([at]) => at))) sources.set(file, await readFile(file, 'utf8'));
  return edits
    .map(([file, text]) => ({ file, text, times: (sources.get(file) ?? '').split(text).length - 1 }))
    .filter(({ times }) => times !== 1);
}

function byFile(edits: readonly Edit[]): Map<string, (source: string) => string> {
  const changes = new Map<string, (source: string) => string>();
  for (const [file, text, instead] of edits) {
    const before = changes.get(file) ?? ((source: string) => source);
    changes.set(file, (source) => edited(text, instead)(before(source)));
  }
  return changes;
}
