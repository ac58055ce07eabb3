import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { randomUUID } from 'node:crypto';
import type {
  CheckpointDraft,
  CheckpointStore,
  CleanupRule,
  ListQuery,
} from '../../lib/checkpoints/checkpoint-store.js';
import { systemClock, KeepAlive } from '../../lib/clock/clock.js';
import { CheckpointConnection, RedisCheckpointStore } from '../../lib/redis/checkpoints/redis-checkpoint-store.js';
import { templateClient } from '../../lib/redis/client/connect.js';
import type { RedisTemplate } from '../../lib/redis/client/redis-client.js';
import { KeySpace } from '../../lib/redis/keys.js';
import { checkpointsInMemory, HeardEvents } from '../support/checkpoints.js';
import { roundsOf } from '../support/fault-table.js';
import { anyServer, describeWithRedis } from '../support/redis-server.js';

const STATE = Uint8Array.of(1);
const NOW = 1_000;

/** What is asked of both stores, and gives the same in both. */
interface Call {
  readonly ask: (store: CheckpointStore) => Promise<unknown>;
  readonly toString: () => string;
}
const shown = (what: string, given: unknown, ask: Call['ask']): Call => ({
  ask,
  toString: () => `${what} ${JSON.stringify(given)}`,
});

const id = fc.constantFrom('a', 'b', 'c');
const workflow = fc.constantFrom('v', 'w');
const lane = fc.constantFrom('docs', 'constructor');
const time = fc.integer({ min: NOW - 300, max: NOW + 300 });
const version = fc.integer({ min: 1, max: 12 });
const labels = fc.constantFrom<readonly string[]>(['one'], ['one', 'two']);
/** At times with the field, at times without. */
const maybe = <T>(field: string, value: fc.Arbitrary<T>): fc.Arbitrary<Readonly<Record<string, T>>> =>
  fc.option(value, { nil: undefined }).map((one): Record<string, T> => (one === undefined ? {} : { [field]: one }));
const merged = <T>(...parts: readonly fc.Arbitrary<object>[]): fc.Arbitrary<T> =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the parts are the fields of T
  fc.tuple(...parts).map((all) => Object.assign({}, ...all) as T);

const draft = merged<CheckpointDraft>(
  fc.record({ id, lane, savedAt: time, labels }),
  fc.constant({ sizeBytes: 1, checksum: '' }),
  maybe('workflow', workflow),
  maybe('expiresAt', time),
);
const conditions = merged<object>(
  maybe('trim', fc.record({ keepVersions: fc.integer({ min: 1, max: 3 }), keepUnfinished: fc.boolean() })),
  maybe('expectedVersion', fc.nat(4)),
  maybe('epoch', fc.nat(1)),
);
const rule = merged<CleanupRule>(
  fc.record({ savedBefore: time, keepLast: fc.nat(2), keepUnfinished: fc.boolean() }),
  fc.record({ mode: fc.constantFrom('remove', 'dry-run'), now: time }),
  maybe('lane', lane),
  maybe('workflow', workflow),
);
const query = merged<ListQuery>(
  fc.record({ limit: fc.integer({ min: 1, max: 5 }) }),
  maybe('lane', lane),
  maybe('workflow', workflow),
  maybe('since', time),
  maybe('until', time),
  maybe('labels', labels),
);

const save = fc.tuple(draft, conditions).map((given) =>
  shown('save', given, async (store) => {
    const outcome = await store.save(given[0], STATE, given[1]);
    if (outcome.outcome === 'conflict') return outcome;
    const { record, trimmed = [] } = outcome;
    return [record.version, record.sequence, trimmed.toSorted((one, other) => one - other)];
  }),
);
const clean = rule.map((given) =>
  shown('clean', given, async (store) => {
    const removed: string[] = [];
    let pinnedKept = 0;
    for (let from: Parameters<CheckpointStore['clean']>[1]; ;) {
      const slice = await store.clean(given, from);
      pinnedKept += slice.pinnedKept;
      removed.push(
        ...slice.removed.map((due) => `${due.record.id} ${due.record.version} ${due.reason} ${due.isNewest}`),
      );
      from = slice.next;
      if (from === undefined) return { removed, pinnedKept };
    }
  }),
);
const startOver = workflow.map((given) =>
  shown('invalidate', given, async (store) => {
    const removed: unknown[] = [];
    for (let upTo: number | undefined; ;) {
      const slice = await store.invalidateWorkflow(given, upTo);
      removed.push(...slice.removed);
      upTo = slice.next;
      if (upTo === undefined) return removed;
    }
  }),
);
const list = query.map((given) =>
  shown('list', given, async (store) => {
    const pages: string[][] = [];
    for (let after: ListQuery['after']; ;) {
      const page = await store.list({ ...given, ...(after !== undefined && { after }) });
      pages.push(page.records.map((record) => `${record.id} ${record.version}`));
      after = page.next;
      if (after === undefined) return pages;
    }
  }),
);
const mark = fc
  .tuple(id, fc.constantFrom('pinned' as const, 'unpinned' as const, 'damaged' as const), version)
  .map((given) => shown('mark', given, (store) => store.mark(...given)));

const call = fc.oneof(
  { arbitrary: save, weight: 8 },
  { arbitrary: list, weight: 2 },
  mark,
  clean,
  startOver,
  workflow.map((given) =>
    shown('finish', given, async (store) => {
      await store.finish(given);
    }),
  ),
  fc.tuple(id, version).map((given) => shown('remove', given, (store) => store.remove(...given))),
);

/** What a caller finds then. */
const view = async (store: CheckpointStore): Promise<unknown> => {
  const ofIds = ['a', 'b', 'c'].map(async (one) => [
    await store.versions(one),
    await store.begin(one, 'w', NOW),
    (await store.history(one, 9)).map(({ pinned, damaged }) => [pinned, damaged]),
  ]);
  return [await Promise.all(ofIds), await store.usage(NOW)];
};

describeWithRedis({ describe }, 'the store of a directory and the one over Redis', () => {
  let server: Awaited<ReturnType<typeof anyServer>>;
  let template: RedisTemplate;
  const hold = new KeepAlive();
  beforeAll(async () => {
    server = await anyServer();
    template = await templateClient({ url: server.url });
  });
  afterAll(async () => {
    hold.end();
    await server.dispose();
  });

  it('answer alike, whatever is asked of them', async () => {
    const property = fc.asyncProperty(fc.array(call, { maxLength: 60, size: 'max' }), async (calls) => {
      const { store: local } = checkpointsInMemory();
      const root = new KeySpace(randomUUID()).checkpoints;
      const shared = new RedisCheckpointStore(
        new CheckpointConnection(template, root, systemClock, hold),
        new HeardEvents(),
      );
      for (const { ask } of calls) expect(await ask(shared)).toEqual(await ask(local));
      expect(await view(shared)).toEqual(await view(local));
      await shared.close();
    });
    await fc.assert(property, { numRuns: roundsOf(40, 2_000) });
  });
});
