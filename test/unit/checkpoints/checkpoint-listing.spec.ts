import { describe, expect, it } from '@jest/globals';
import type { CheckpointService } from '../../../lib/checkpoints/checkpoint-service.js';
import { checkpointsInMemory } from '../../support/checkpoints.js';

const ids = async (service: CheckpointService, filter: Parameters<CheckpointService['iterate']>[0]) => {
  const found: string[] = [];
  for await (const { id } of service.iterate(filter)) found.push(id);
  return found;
};

const filled = async (count: number) => {
  const bench = checkpointsInMemory();
  const save = (n: number) =>
    bench.service.cacheCheckpoint(`id ${n}`, n, {
      lane: n % 2 === 0 ? 'docs' : 'heavy',
      workflow: `w${n % 3}`,
      ...(n % 10 === 0 && { ttl: '90d' }),
    });
  for (let n = 0; n < count; n += 100) {
    await Promise.all(Array.from({ length: Math.min(100, count - n) }, (_, i) => save(n + i)));
    await bench.clock.advance('1s');
  }
  return bench;
};

describe('latest', () => {
  it('follows the order of saving, not the clock', async () => {
    const { service, clock } = checkpointsInMemory();
    await service.cacheCheckpoint('first', 1, { workflow: 'w' });
    clock.step(-3_600_000);
    await service.cacheCheckpoint('second', 2, { workflow: 'w' });
    await service.cacheCheckpoint('other', 3, { workflow: 'v' });
    expect((await service.latest('w'))?.id).toBe('second');
    expect((await service.list({ workflow: 'w' })).items.map(({ id }) => id)).toEqual(['second', 'first']);
  });

  it('passes over what has expired', async () => {
    const { service, clock } = checkpointsInMemory();
    await service.cacheCheckpoint('lasting', 1, { workflow: 'w' });
    for (let n = 0; n < 150; n += 1) await service.cacheCheckpoint(`short ${n}`, n, { workflow: 'w', ttl: '1s' });
    await clock.advance('2s');
    expect((await service.latest('w'))?.id).toBe('lasting');
  });
});

describe('list', () => {
  it('gives every version once, newest first, page by page', async () => {
    const { service } = await filled(450);
    const all = Array.from({ length: 450 }, (_, n) => `id ${449 - n}`);
    expect(await ids(service, {})).toEqual(all);
    expect(await ids(service, { lane: 'docs' })).toEqual(all.filter((_, n) => n % 2 === 1));
    expect(await ids(service, { workflow: 'w0', lane: 'heavy' })).toEqual(
      all.filter((id) => Number(id.slice(3)) % 6 === 3),
    );
    const page = await service.list({ limit: 450 });
    expect(page.items).toHaveLength(450);
    expect(page.next).toBeUndefined();
  });

  it('keeps its place when versions come and go between pages', async () => {
    const { service } = await filled(10);
    const first = await service.list({ limit: 4 });
    await service.cacheCheckpoint('new', 1);
    await service.invalidateCheckpoint('id 5');
    const second = await service.list({ limit: 4, ...(first.next !== undefined && { after: first.next }) });
    expect(second.items.map(({ id }) => id)).toEqual(['id 4', 'id 3', 'id 2', 'id 1']);
  });

  it('narrows to a span of time, both ends included', async () => {
    const { service, clock } = checkpointsInMemory();
    const times: Date[] = [];
    for (const id of ['a', 'b', 'c', 'd']) {
      times.push(new Date(clock.now()));
      await service.cacheCheckpoint(id, 1, { workflow: 'w' });
      await clock.advance('1ms');
    }
    const [, b, c] = times;
    if (b === undefined || c === undefined) throw new Error('four times were noted');
    expect(await ids(service, { since: b, until: c.toISOString() })).toEqual(['c', 'b']);
    expect(await ids(service, { since: c, workflow: 'w' })).toEqual(['d', 'c']);
    expect(await ids(service, { until: b })).toEqual(['b', 'a']);
    const page = await service.list({ since: b, limit: 2 });
    expect(
      (await service.list({ since: b, limit: 2, ...(page.next !== undefined && { after: page.next }) })).items,
    ).toEqual([expect.objectContaining({ id: 'b' })]);
  });

  it('refuses what it cannot mean', async () => {
    const { service } = await filled(3);
    const { next } = await service.list({ limit: 1 });
    const code = 'CHECKPOINT_INVALID';
    await expect(service.list({ limit: 0 })).rejects.toMatchObject({ code });
    await expect(service.list({ limit: 1_001 })).rejects.toMatchObject({ code });
    await expect(service.list({ after: 'nonsense' })).rejects.toMatchObject({ code });
    await expect(service.list({ since: 'yesterday' })).rejects.toMatchObject({ code });
    await expect(service.list({ since: new Date(0), after: next ?? '' })).rejects.toMatchObject({ code });
  });
});

/** Rows read by each call when there are `count` checkpoints. */
const cost = async (count: number) => {
  const { service, environment } = await filled(count);
  const calls = [
    () => service.latest('w1'),
    () => service.list({ limit: 20, lane: 'docs', workflow: 'w2' }),
    () => service.list({ limit: 20, until: new Date(Date.UTC(2030, 0, 1)) }),
    () => service.cleanupOldCheckpoints({ dryRun: true }),
    () => service.getCheckpointCacheStatus(),
  ];
  const reads: number[] = [];
  for (const call of calls) {
    const before = environment.reads;
    await call();
    reads.push(environment.reads - before);
  }
  return reads;
};

describe('what a call reads', () => {
  it('does not grow with the number of checkpoints', async () => {
    expect(await cost(1_000)).toEqual(await cost(200));
  });
});

describe('getCheckpointCacheStatus', () => {
  it('counts as things come, expire and go, in all and by lane', async () => {
    const { service, clock } = checkpointsInMemory();
    const oldest = new Date(clock.now()).toISOString();
    const a = await service.cacheCheckpoint('a', 1, 'docs');
    await clock.advance('1s');
    const b = await service.cacheCheckpoint('a', 2, { lane: 'heavy', ttl: '1h' });
    const c = await service.cacheCheckpoint('c', 3, { lane: 'heavy', ttl: '1h' });
    const newest = new Date(clock.now()).toISOString();
    const heavy = { versions: 2, bytes: b.sizeBytes + c.sizeBytes, oldest: newest, newest };
    expect(await service.getCheckpointCacheStatus()).toEqual({
      cachedCheckpoints: 2,
      versions: 3,
      bytes: a.sizeBytes + b.sizeBytes + c.sizeBytes,
      oldest,
      newest,
      state: 'on',
      lanes: {
        docs: { cachedCheckpoints: 1, versions: 1, bytes: a.sizeBytes, oldest, newest: oldest },
        heavy: { cachedCheckpoints: 2, ...heavy },
      },
    });
    await clock.advance('2h');
    expect(await service.getCheckpointCacheStatus()).toMatchObject({
      cachedCheckpoints: 1,
      versions: 3,
      lanes: { docs: { cachedCheckpoints: 1 }, heavy: { cachedCheckpoints: 0, ...heavy } },
    });
    await service.cleanupOldCheckpoints();
    expect((await service.getCheckpointCacheStatus()).lanes).toEqual({ docs: expect.anything() });
  });
});
