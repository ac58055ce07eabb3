import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Workshop } from '../support/child-process.js';
import { FaultChild, lostOf, nothingYet } from '../support/fault-child.js';
import { roundsOf, tell } from '../support/fault-table.js';
import { StorageBench } from '../support/storage.js';

const KEYS = 200;
const ROUNDS = roundsOf(3);

describe('an app that is killed', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  it(
    'serves nothing that was invalidated, and has every acknowledged checkpoint',
    async () => {
      const directory = await bench.path('cache');
      const acknowledged = nothingYet();
      const sum = { calls: 0, wrong: 0, lost: 0, crashes: 0, recoveredInMs: 0, hits: 0 };
      for (let round = 0; round < ROUNDS; round++) {
        const startedAt = performance.now();
        const app = await FaultChild.start(workshop, { directory }, acknowledged);
        sum.recoveredInMs = Math.max(sum.recoveredInMs, performance.now() - startedAt);
        const checked = await app.ask('check', { invalidated: [...acknowledged.invalidated], keys: KEYS });
        sum.lost += await lostOf(app, acknowledged);
        expect(await app.ask('events')).toEqual([]);
        expect(await app.ask('state')).toEqual({ l1: 'on', l2: 'on', l3: 'on' });
        acknowledged.saved.clear();
        sum.wrong += checked.wrong + checked.unhandled + checked.late;
        sum.hits += checked.hits;
        sum.calls += checked.calls;
        await app.ask('start', { keys: KEYS });
        await app.hear(30 + ((round * 7_919) % 200));
        if ((await app.end('SIGKILL')) !== 'SIGKILL') sum.crashes++;
        if (app.child.errors !== '') sum.wrong++;
      }
      const { hits, ...counts } = sum;
      tell({ fault: 'F1 killed at random, all tiers under load', rounds: ROUNDS, ...counts });
      expect(counts).toMatchObject({ wrong: 0, lost: 0, crashes: 0 });
      expect(hits).toBeGreaterThan(0);
    },
    60_000 + ROUNDS * 20_000,
  );

  it(
    'is succeeded by another process, which loses nothing and finds its entries warm',
    async () => {
      const rounds = roundsOf(1);
      const directory = await bench.path('cache');
      const acknowledged = nothingYet();
      const sum = { calls: 0, wrong: 0, lost: 0, crashes: 0, recoveredInMs: 0 };
      let owner = await FaultChild.start(workshop, { directory }, acknowledged);
      for (let round = 0; round < rounds; round++) {
        await owner.ask('fill', { keys: KEYS, bytes: 800 });
        const heir = await FaultChild.start(workshop, { directory }, acknowledged);
        expect((await heir.ask('state')).l3).toBe('on');
        await heir.ask('start', { keys: KEYS, changes: 0, saves: 11 });
        await owner.ask('start', { keys: KEYS, changes: 0, saves: 13 });
        await Promise.all([heir.hear(20), owner.hear(20)]);
        const killedAt = performance.now();
        if ((await owner.end('SIGKILL')) !== 'SIGKILL') sum.crashes++;
        expect(await heir.ask('until', 'l3', 'on')).toBe('on');
        sum.recoveredInMs = Math.max(sum.recoveredInMs, performance.now() - killedAt);
        const seen = await heir.ask('stop');
        const checked = await heir.ask('check', { invalidated: [], keys: KEYS });
        expect(checked.hits).toBeGreaterThan(0);
        expect(await heir.ask('events')).toEqual(['l3 on', 'owner owned', 'owner taken-over']);
        sum.lost += await lostOf(heir, acknowledged);
        sum.calls += seen.calls + checked.calls;
        sum.wrong += checked.wrong + checked.unhandled + checked.late + seen.refused;
        owner = heir;
      }
      await owner.end('SIGKILL');
      tell({ fault: 'F2 the owner of several killed, the others go on', rounds, ...sum });
      expect(sum).toMatchObject({ wrong: 0, lost: 0, crashes: 0 });
    },
    60_000 + ROUNDS * 20_000,
  );
});
