import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { CheckpointDraft } from '../../lib/checkpoints/checkpoint-store.js';
import { systemClock, KeepAlive } from '../../lib/clock/clock.js';
import { CheckpointConnection, RedisCheckpointStore } from '../../lib/redis/checkpoints/redis-checkpoint-store.js';
import { Script } from '../../lib/redis/client/redis-client.js';
import { templateClient } from '../../lib/redis/client/connect.js';
import { KeySpace } from '../../lib/redis/keys.js';
import { HeardEvents } from '../support/checkpoints.js';
import { anyServer, describeWithRedis } from '../support/redis-server.js';

const STATE = Uint8Array.of(1);
const COUNT = 150;
const IDS = Array.from({ length: COUNT }, (_, n) => `i${n}`);

const draft = (id: string, more: Partial<CheckpointDraft> = {}): CheckpointDraft => ({
  id,
  lane: 'standard',
  workflow: 'w',
  labels: ['label'],
  savedAt: 1_000,
  sizeBytes: 1,
  checksum: '',
  ...more,
});

describeWithRedis({ describe }, 'a listing over Redis of more rows than one command reads', () => {
  let server: Awaited<ReturnType<typeof anyServer>>;
  beforeAll(async () => {
    server = await anyServer();
  });
  afterAll(() => server.dispose());

  /** A store with 150 versions, all of one time. `between` runs once, after the first command that reads an index. */
  const open = async (between: (store: RedisCheckpointStore) => Promise<unknown>) => {
    const hold = new KeepAlive();
    const root = new KeySpace(randomUUID()).checkpoints;
    const line = new CheckpointConnection(await templateClient({ url: server.url }), root, systemClock, hold);
    const store = new RedisCheckpointStore(line, new HeardEvents());
    await Promise.all(IDS.map((id) => store.save(draft(id, { expiresAt: 2_000 }), STATE)));
    const run = line.run.bind(line);
    let isFirst = true;
    line.run = async (script, args) => {
      const reply = await run(script, args);
      const isSlice = args[1] === 'up' || args[1] === 'down';
      if (isSlice && isFirst) {
        isFirst = false;
        await between(store);
      }
      return reply;
    };
    const close = async (): Promise<void> => {
      await store.close();
      hold.end();
    };
    return { store, close, line };
  };

  const saves = (store: RedisCheckpointStore): Promise<unknown> =>
    Promise.all(['x', 'y'].map((id) => store.save(draft(id, { savedAt: 1_000 }), STATE)));
  // The newest, the oldest, and the last row of the first slice from either end
  const REMOVED = ['i149', 'i0', 'i86', 'i63'];
  const removes = (store: RedisCheckpointStore): Promise<unknown> => Promise.all(REMOVED.map((id) => store.remove(id)));

  const QUERIES = {
    all: {},
    'by time': { since: 0 },
    'a workflow': { workflow: 'w' },
    'by labels': { labels: ['label'] },
  };

  it.each(
    Object.entries(QUERIES).flatMap(([what, query]) => [
      [what, 'saves', saves, query] as const,
      [what, 'removes', removes, query] as const,
    ]),
  )(
    '(%s) neither repeats nor leaves out what is there all the time while another one %s',
    async (_w, _o, other, query) => {
      const { store, close } = await open(other);
      const ids = (await store.list({ ...query, limit: 1_000 })).records.map(({ id }) => id);
      await close();
      expect(ids).toHaveLength(new Set(ids).size);
      const gone = new Set(other === removes ? REMOVED : []);
      expect(ids.filter((id) => IDS.includes(id) && !gone.has(id))).toEqual(
        IDS.filter((id) => !gone.has(id)).toReversed(),
      );
    },
  );

  it('of a workflow that is removed leaves nothing of it behind', async () => {
    const { store, close, line } = await open(saves);
    for (let upTo: number | undefined; ;) {
      upTo = (await store.invalidateWorkflow('w', upTo)).next;
      if (upTo === undefined) break;
    }
    expect((await store.list({ limit: 1_000 })).records).toEqual([]);
    expect(await line.run(new Script("return redis.call('EXISTS', KEYS[1] .. ':removed')"), [])).toBe(0);
    await close();
  });

  it('counts and cleans all of them, though others are removed meanwhile', async () => {
    const { store, close } = await open(removes);
    const { total } = await store.usage(1_500);
    // Two of them were counted already.
    expect(total.versions).toBe(COUNT - 2);
    const rule = { now: 3_000, savedBefore: 0, keepLast: 0, keepUnfinished: false, mode: 'remove' } as const;
    let removed = 0;
    for (let from: Parameters<RedisCheckpointStore['clean']>[1]; ;) {
      const slice = await store.clean(rule, from);
      removed += slice.removed.length;
      from = slice.next;
      if (from === undefined) break;
    }
    expect(removed).toBe(COUNT - REMOVED.length);
    expect((await store.list({ limit: 9 })).records).toEqual([]);
    await close();
  });
});
