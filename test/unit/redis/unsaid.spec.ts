import { describe, expect, it } from '@jest/globals';
import { EMPTY_LOG, type LogRow } from '../../../lib/invalidation/journal.js';
import { Unsaid } from '../../../lib/redis/unsaid.js';
import { Utterance } from '../../../lib/redis/utterance.js';

const utterance = (n: number): Utterance =>
  new Utterance(`u${n}`, 'me', { kind: 'key', lane: 'docs', subject: `k${n}` }, n);

describe('what the server has not been told', () => {
  it('becomes one record about everything when there is too much of it', async () => {
    const unsaid = new Unsaid(() => undefined);
    const first = utterance(0);
    unsaid.add([first]);
    for (let n = 1; n <= 10_000; n++) unsaid.add([utterance(n)]);
    const [all, ...others] = unsaid.all;
    expect(others).toEqual([]);
    expect(all?.record).toEqual({ kind: 'all', lane: null, subject: '*' });
    all?.settle(true);
    expect(await first.said).toBe(true);
  });

  it('is put into its disk again when that was voided', async () => {
    const rows: LogRow[] = [];
    const journal = { initial: EMPTY_LOG, append: async (some: readonly LogRow[]) => void rows.push(...some) };
    const unsaid = new Unsaid(() => journal);
    const [kept, another] = [utterance(1), utterance(2)];
    unsaid.add([kept, another]);
    await unsaid.keep([kept]);
    await unsaid.keepAgain();
    expect(rows.map((row) => ('id' in row ? [row.row, row.id] : row.row))).toEqual([
      ['unsaid', 'u1'],
      ['unsaid', 'u1'],
    ]);
    unsaid.acknowledged(kept);
    expect(rows.at(-1)).toEqual({ row: 'said', id: 'u1' });
  });

  it('is unheard until it has come round', () => {
    const unsaid = new Unsaid(() => undefined);
    const one = utterance(1);
    unsaid.add([one]);
    const before = unsaid.unheard;
    unsaid.acknowledged(one);
    expect([unsaid.all, unsaid.unheard]).toEqual([[], [one]]);
    unsaid.cameRound(one);
    expect([unsaid.unheard, before]).toEqual([[], [one]]);
  });
});
