import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { edited, Workshop } from '../support/child-process.js';
import type { Edit, Omission } from './omission.js';

/** What is left out, and who is to find out. */
export interface Proof {
  readonly omissions: readonly Omission[];
  /** Those that `quickRuns` show; the others need the long run. */
  readonly quick: readonly string[];
  readonly quickRuns: number;
  /** A program that is given scene, focus, seed and runs, and prints a `SearchOutcome` as JSON. */
  readonly search: string;
}

interface SearchOutcome {
  readonly runs: number;
  readonly found?: { readonly violation: string };
}

const ROUNDS = process.env['LANE_CACHE_ROUNDS'];
const SEED = process.env['LANE_CACHE_SEED'] ?? '1';
const LONGEST_MS = 1_200_000;

/** Leaves out one thing after the other, in a copy of the library, and prints by what each was found out. */
export function proveEachIsMissed({ omissions, quick, quickRuns, search }: Proof): void {
  const runs = ROUNDS ?? String(quickRuns);
  const looked = omissions.filter(({ out }) => ROUNDS !== undefined || quick.includes(out));

  let workshop: Workshop;
  const rows: string[] = [];
  beforeAll(async () => (workshop = await Workshop.build(['lib', 'test/model', 'test/support'])), 60_000);
  afterAll(async () => {
    await workshop.dispose();
    process.stdout.write(['rule | what was taken out | found by | after runs', ...rows, ''].join('\n'));
  });

  it('which stands where it is looked for, once', async () => {
    expect(await misplaced(omissions.flatMap(({ edits }) => edits))).toEqual([]);
  });

  it.each(looked.map((omission): [string, string, Omission] => [omission.rule, omission.out, omission]))(
    'is found out: %s, %s',
    async (rule, out, { edits, scene, focus }) => {
      const without = await workshop.variant(byFile(edits));
      try {
        const child = await without.run(search, [scene, JSON.stringify(focus), SEED, runs]);
        const outcome = JSON.parse(await child.line()) as SearchOutcome;
        const violation = outcome.found?.violation;
        const by = violation === undefined ? 'nobody' : `${violation.split(' ')[0]} in '${scene}'`;
        rows.push(`${rule} | ${out} | ${by} | ${outcome.runs}`);
        expect(violation).toBeDefined();
      } finally {
        await without.dispose();
      }
    },
    LONGEST_MS,
  );
}

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
