import { describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../../../lib/clock/clock.js';
import type { Outbox as KeptElsewhere, SharedRecord } from '../../../../lib/invalidation/shared-log.js';
import { TwoLogRecords } from '../../../../lib/redis/shared-log/two-log-records.js';
import { OutgoingQueue, OutgoingRecord } from '../../../../lib/redis/shared-log/outgoing-queue.js';

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

const recordOf = (n: number, key = `k${n}`): OutgoingRecord =>
  new OutgoingRecord(`me:${n}`, { kind: 'key', lane: 'docs', subject: key }, n);

const PLACE = { generation: 'g', sequence: 1 };

describe('the records that the server has not received', () => {
  it('become one record about everything when there are too many of them', async () => {
    const queue = new OutgoingQueue(() => undefined, new TwoLogRecords(() => undefined));
    const first = recordOf(0);
    const { published } = first.wait();
    queue.add([first]);
    for (let n = 1; n <= 10_000; n++) queue.add([recordOf(n)]);
    const [all, ...others] = queue.all;
    expect(others).toEqual([]);
    expect(all?.record).toEqual({ kind: 'all', lane: null, subject: '*' });
    all?.settle(true);
    expect(await published).toBe(true);
  });

  it('are kept until the server has them, and so is the one record that too many became', async () => {
    const outbox = new Outbox();
    const queue = new OutgoingQueue(() => outbox, new TwoLogRecords(() => undefined));
    const [kept, another] = [recordOf(1), recordOf(2)];
    queue.add([kept, another]);
    await queue.keep([kept, another]);
    queue.acknowledged(kept, PLACE);
    expect([...outbox.kept]).toEqual([['me:2', { kind: 'key', lane: 'docs', subject: 'k2' }]]);
    for (let n = 3; n <= 10_002; n++) queue.add([recordOf(n)]);
    await nextTurn();
    expect([...outbox.kept.values()]).toEqual([{ kind: 'all', lane: null, subject: '*' }]);
    const [all] = queue.all;
    if (all !== undefined) queue.acknowledged(all, PLACE);
    expect(outbox.kept.size).toBe(0);
  });

  it('gives way to a later one about the same subject, which is kept for both', async () => {
    const outbox = new Outbox();
    const queue = new OutgoingQueue(() => outbox, new TwoLogRecords(() => undefined));
    const [first, second, third] = [recordOf(1, 'k'), recordOf(2, 'k'), recordOf(3, 'k')];
    const waits = [first.wait(), second.wait()];
    queue.addUnsent([first]);
    await queue.keep([first]);
    queue.addUnsent([second]);
    queue.addUnsent([third]);
    await nextTurn();
    expect([queue.all, [...outbox.kept.keys()]]).toEqual([[third], ['me:3']]);
    expect([first.standing, second.standing]).toEqual([third, third]);
    queue.acknowledged(third, PLACE);
    third.settle(true);
    expect(await Promise.all(waits.map(({ published }) => published))).toEqual([true, true]);
    expect([first.place, second.place]).toEqual([PLACE, PLACE]);
    expect(outbox.kept.size).toBe(0);
  });

  it('cannot be kept by a process without a place for it', async () => {
    const queue = new OutgoingQueue(() => undefined, new TwoLogRecords(() => undefined));
    const one = recordOf(1);
    queue.add([one]);
    await expect(queue.keep([one])).rejects.toThrow('directory');
  });

  it('is unheard until it has come round', () => {
    const queue = new OutgoingQueue(() => undefined, new TwoLogRecords(() => undefined));
    const one = recordOf(1);
    queue.add([one]);
    const before = queue.unheard;
    queue.acknowledged(one, PLACE);
    expect([queue.all, queue.unheard]).toEqual([[], [one]]);
    queue.echoed(one);
    expect([queue.unheard, before]).toEqual([[], [one]]);
  });
});
