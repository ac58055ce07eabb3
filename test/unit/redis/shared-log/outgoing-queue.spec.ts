import { describe, expect, it } from '@jest/globals';
import { nextTurn } from '../../../../lib/clock/clock.js';
import type { Outbox as KeptElsewhere, SharedRecord } from '../../../../lib/invalidation/shared-log.js';
import { HostRecords } from '../../../../lib/redis/shared-log/host-records.js';
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

const recordOf = (n: number): OutgoingRecord =>
  new OutgoingRecord(`me:${n}`, { kind: 'key', lane: 'docs', subject: `k${n}` }, n);

describe('the records that the server has not received', () => {
  it('become one record about everything when there are too many of them', async () => {
    const queue = new OutgoingQueue(() => undefined, new HostRecords(() => undefined));
    const first = recordOf(0);
    queue.add([first]);
    for (let n = 1; n <= 10_000; n++) queue.add([recordOf(n)]);
    const [all, ...others] = queue.all;
    expect(others).toEqual([]);
    expect(all?.record).toEqual({ kind: 'all', lane: null, subject: '*' });
    all?.settle(true);
    expect(await first.published).toBe(true);
  });

  it('are kept until the server has them, and so is the one record that too many became', async () => {
    const outbox = new Outbox();
    const queue = new OutgoingQueue(() => outbox, new HostRecords(() => undefined));
    const [kept, another] = [recordOf(1), recordOf(2)];
    queue.add([kept, another]);
    await queue.keep([kept, another]);
    queue.acknowledged(kept);
    expect([...outbox.kept]).toEqual([['me:2', { kind: 'key', lane: 'docs', subject: 'k2' }]]);
    for (let n = 3; n <= 10_002; n++) queue.add([recordOf(n)]);
    await nextTurn();
    expect([...outbox.kept.values()]).toEqual([{ kind: 'all', lane: null, subject: '*' }]);
    const [all] = queue.all;
    if (all !== undefined) queue.acknowledged(all);
    expect(outbox.kept.size).toBe(0);
  });

  it('gives way to a later one about the same subject, which is kept for both', async () => {
    const outbox = new Outbox();
    const queue = new OutgoingQueue(() => outbox, new HostRecords(() => undefined));
    const [first, second, third] = [recordOf(1), recordOf(2), recordOf(3)];
    queue.add([first]);
    await queue.keep([first]);
    queue.add([second]);
    queue.replace(first, second);
    queue.add([third]);
    queue.replace(second, third);
    await nextTurn();
    expect([queue.all, [...outbox.kept.keys()]]).toEqual([[third], ['me:3']]);
    expect([first.standing, second.standing]).toEqual([third, third]);
    queue.acknowledged(third);
    third.settle(true);
    expect(await Promise.all([first.published, second.published])).toEqual([true, true]);
    expect(outbox.kept.size).toBe(0);
  });

  it('cannot be kept by a process without a place for it', async () => {
    const queue = new OutgoingQueue(() => undefined, new HostRecords(() => undefined));
    const one = recordOf(1);
    queue.add([one]);
    await expect(queue.keep([one])).rejects.toThrow('directory');
  });

  it('is unheard until it has come round', () => {
    const queue = new OutgoingQueue(() => undefined, new HostRecords(() => undefined));
    const one = recordOf(1);
    queue.add([one]);
    const before = queue.unheard;
    queue.acknowledged(one);
    expect([queue.all, queue.unheard]).toEqual([[], [one]]);
    queue.echoed(one);
    expect([queue.unheard, before]).toEqual([[], [one]]);
  });
});
