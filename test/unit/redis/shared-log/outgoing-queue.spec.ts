import { describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../../../lib/clock/clock.js';
import type { Outbox as KeptElsewhere, SharedRecord } from '../../../../lib/invalidation/shared-log.js';
import { OutgoingQueue, OutgoingRecord } from '../../../../lib/redis/shared-log/publisher.js';

class Outbox implements KeptElsewhere {
  readonly found = new Map<string, SharedRecord>();
  readonly kept = new Map<string, SharedRecord>();

  async keep(records: ReadonlyMap<string, SharedRecord>): Promise<void> {
    for (const [id, record] of records) this.kept.set(id, record);
  }

  forget(ids: readonly string[]): void {
    for (const id of ids) this.kept.delete(id);
  }
}

const utterance = (n: number): OutgoingRecord =>
  new OutgoingRecord(`u${n}`, 'me', { kind: 'key', lane: 'docs', subject: `k${n}` }, n);

describe('the records that the server has not received', () => {
  it('becomes one record about everything when there is too much of it', async () => {
    const unsaid = new OutgoingQueue(() => undefined);
    const first = utterance(0);
    unsaid.add([first]);
    for (let n = 1; n <= 10_000; n++) unsaid.add([utterance(n)]);
    const [all, ...others] = unsaid.all;
    expect(others).toEqual([]);
    expect(all?.record).toEqual({ kind: 'all', lane: null, subject: '*' });
    all?.settle(true);
    expect(await first.published).toBe(true);
  });

  it('is kept until the server has it, and so is the one record that too many became', async () => {
    const outbox = new Outbox();
    const unsaid = new OutgoingQueue(() => outbox);
    const [kept, another] = [utterance(1), utterance(2)];
    unsaid.add([kept, another]);
    await unsaid.keep([kept, another]);
    unsaid.acknowledged(kept);
    expect([...outbox.kept]).toEqual([['u2', { kind: 'key', lane: 'docs', subject: 'k2' }]]);
    for (let n = 3; n <= 10_002; n++) unsaid.add([utterance(n)]);
    await nextTurn();
    expect([...outbox.kept.values()]).toEqual([{ kind: 'all', lane: null, subject: '*' }]);
    const [all] = unsaid.all;
    if (all !== undefined) unsaid.acknowledged(all);
    expect(outbox.kept.size).toBe(0);
  });

  it('cannot be kept by a process without a place for it', async () => {
    const unsaid = new OutgoingQueue(() => undefined);
    const one = utterance(1);
    unsaid.add([one]);
    await expect(unsaid.keep([one])).rejects.toThrow('directory');
  });

  it('is unheard until it has come round', () => {
    const unsaid = new OutgoingQueue(() => undefined);
    const one = utterance(1);
    unsaid.add([one]);
    const before = unsaid.unheard;
    unsaid.acknowledged(one);
    expect([unsaid.all, unsaid.unheard]).toEqual([[], [one]]);
    unsaid.echoed(one);
    expect([unsaid.unheard, before]).toEqual([[], [one]]);
  });
});
