import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { race } from '../race.mjs';
import { atMost, row } from '../row.mjs';
import { keys, smallObject } from '../values.mjs';

const COUNT = 500;
const KEYS = keys(COUNT);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CORE = 'cjs/core/parts/cache-app.js';
const NAMED = 'hit in memory, telemetry off';
const CUT = 'the same without telemetry in the code';

/** A hit in memory of an app without `telemetry`, beside a build out of which telemetry was cut. */
export async function telemetry(scratch) {
  const contestants = [await ours(NAMED, (code) => code, scratch), await ours(CUT, withoutTelemetry, scratch)];
  for (const { turn } of contestants) for (let index = 0; index < COUNT; index++) await turn(index);
  const took = await race(contestants, { rounds: 31, budgetMs: 60 });
  return row('Telemetry off, L1 hit', 'ns', took, [atMost(took.get(NAMED), took.get(CUT), 1.05, CUT)]);
}

/** Both are copies of the build, so that they differ in nothing else. */
async function ours(name, edit, scratch) {
  const folder = scratch.directory();
  cpSync(join(ROOT, 'dist'), folder, { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, CORE), edit(readFileSync(join(folder, CORE), 'utf8')));
  const { CacheManager } = createRequire(join(folder, 'bench.cjs'))('./cjs/index.js');
  const cache = await CacheManager.fromSettings({ lane: 'standard', directory: scratch.directory() });
  scratch.onEnd(() => cache.close());
  return { name, turn: (index) => cache.getOrSet(KEYS[index % COUNT], () => smallObject(index)) };
}

function withoutTelemetry(code) {
  const cut = code.replaceAll(/\b\w+\.tracing === void 0/g, 'true').replaceAll(/\b\w+\.tracing\?\.joined\(/g, 'void (');
  if (cut.match(/\btrue \?|\(true\)/g) === null || cut === code)
    throw new Error('The build has changed: nothing was cut out.');
  return cut;
}
