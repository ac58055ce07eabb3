import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { OperationsApp, COOKIE, JSON_TYPE, Operators } from '../support/operations-app.js';
import { roundsOf } from '../support/fault-table.js';

/** 60 rounds are a million entries. */
const ENTRIES = Math.round((1_000_000 / 60) * roundsOf(1));
const AT = 'lane-cache';

describe(`a lane of ${ENTRIES} entries`, () => {
  let app: OperationsApp;

  beforeAll(async () => {
    app = await OperationsApp.open('express', {
      metrics: { controller: { guards: [Operators] } },
      lanes: {
        big: { extends: 'docs', l1: { maxEntries: 500 }, l2: { maxEntries: 2 * ENTRIES, maxBytes: '8GB' }, ttl: '1h' },
      },
    });
    const big = app.cache.forLane('big');
    for (let at = 0; at < ENTRIES; at += 5_000) {
      const count = Math.min(5_000, ENTRIES - at);
      const entries = Array.from({ length: count }, (_, n) => [`item:${at + n}`, n] as const);
      await big.setMany(entries, { tags: ['all', `tenth:${Math.floor((at / ENTRIES) * 10)}`] });
      await big.flush();
    }
  });
  afterAll(() => app.close());

  /** All that a search finds, page by page, and in how many turns of the event loop each page was answered. */
  async function search(query: string): Promise<{ readonly found: readonly string[]; readonly leastTurns: number }> {
    const found: string[] = [];
    let leastTurns = Infinity;
    let after = '';
    do {
      let turns = 0;
      let isAnswered = false;
      const count = (): void => {
        turns++;
        if (!isAnswered) setImmediate(count);
      };
      setImmediate(count);
      const page = await (await app.ask(`${AT}/keys?lane=big&limit=200&${query}${after}`, COOKIE)).json();
      isAnswered = true;
      if (page.scanned > 10_000) leastTurns = Math.min(leastTurns, turns);
      for (const { key } of page.items) found.push(key);
      after = page.next === undefined ? '' : `&after=${page.next}`;
    } while (after !== '');
    return { found, leastTurns };
  }

  it('is searched whole for a key that is in it once, and the app goes on in between', async () => {
    const { found, leastTurns } = await search(`pattern=*:${ENTRIES - 7}`);
    expect(found).toEqual([`item:${ENTRIES - 7}`]);
    expect(leastTurns).toBeGreaterThan(10);
  });

  it('is listed page by page, each key once', async () => {
    const { found } = await search('pattern=item:1?');
    expect(found.toSorted()).toEqual(Array.from({ length: 10 }, (_, n) => `item:1${n}`));
    const { found: all } = await search('tag=tenth:9');
    const tenth = Array.from({ length: ENTRIES }, (_, n) => n).filter(
      (n) => Math.floor(((n - (n % 5_000)) / ENTRIES) * 10) === 9,
    );
    expect([all.length, new Set(all).size]).toEqual([tenth.length, tenth.length]);
  });

  it('says how many entries a preview has counted, and whether those are all', async () => {
    const preview = await (await app.post(`${AT}/preview`, { tags: ['all'] }, { ...COOKIE, ...JSON_TYPE })).json();
    if (preview.isComplete === true) expect(preview.matches).toBe(ENTRIES);
    else expect(preview.matches).toBeLessThan(ENTRIES);
    expect(preview.matches).toBeGreaterThan(0);
  });
});
