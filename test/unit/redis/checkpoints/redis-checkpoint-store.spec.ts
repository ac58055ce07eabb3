import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash, randomUUID } from 'node:crypto';
import type { CheckpointDraft } from '../../../../lib/checkpoints/checkpoint-store.js';
import { KeepAlive, systemClock } from '../../../../lib/clock/clock.js';
import {
  CheckpointConnection,
  RedisCheckpointStore,
} from '../../../../lib/redis/checkpoints/redis-checkpoint-store.js';
import { CLEAN } from '../../../../lib/redis/checkpoints/scripts.js';
import { templateClient } from '../../../../lib/redis/client/connect.js';
import type { RedisPort } from '../../../../lib/redis/client/redis-client.js';
import { KeySpace } from '../../../../lib/redis/keys.js';
import { HeardEvents } from '../../../support/checkpoints.js';
import { until } from '../../../support/gate.js';
import { anyServer, describeWithRedis } from '../../../support/redis-server.js';

const NOW = Date.UTC(2026, 0, 1);
const STATE = Uint8Array.of(1);
const draft = (id: string, more: Partial<CheckpointDraft> = {}): CheckpointDraft => ({
  ...{ id, lane: 'standard', savedAt: NOW - 9, sizeBytes: 1, checksum: '' },
  ...more,
});

describeWithRedis({ describe }, 'checkpoints on a server', () => {
  let server: Awaited<ReturnType<typeof anyServer>>;
  let line: CheckpointConnection;
  let store: RedisCheckpointStore;
  let root: string;
  /** The latest connection of the store. */
  let port: RedisPort | undefined;
  /** How many connections are refused. */
  let refused: number;
  const hold = new KeepAlive();

  beforeAll(async () => {
    server = await anyServer();
  });
  beforeEach(async () => {
    const client = await templateClient({ url: server.url });
    refused = 0;
    const duplicate = async (): Promise<RedisPort> => {
      if (refused-- > 0) throw new Error('the connection was refused');
      return (port = await client.duplicate());
    };
    const command = (): Promise<never> => Promise.reject(new Error('a template is not connected'));
    const close = (): Promise<void> => client.close();
    const template = { command, duplicate, connected: false, onStateChange: () => () => undefined, close };
    root = new KeySpace(randomUUID()).checkpoints;
    line = new CheckpointConnection(template, root, systemClock, hold);
    store = new RedisCheckpointStore(line, new HeardEvents(), () => ['found']);
  });
  afterEach(() => store.close());
  afterAll(async () => {
    hold.end();
    await server.dispose();
  });

  /** Once, after a version was found to be due, and before it is removed. */
  const beforeTheRemoval = (act: () => Promise<unknown>): void => {
    const run = line.run.bind(line);
    line.run = async (script, args) => {
      if (script === CLEAN) {
        line.run = run;
        await act();
      }
      return run(script, args);
    };
  };

  it.each<readonly [string, number, () => Promise<unknown>]>([
    ['it is pinned', 0, () => store.mark('a', 'pinned', 1)],
    ['a save reopens its workflow', 0, () => store.save(draft('other', { workflow: 'w' }), STATE)],
    ['the newer one is found to be damaged', 1, () => store.mark('a', 'damaged', 2)],
    ['the newer one is removed', 1, () => store.remove('a', 2)],
  ])('stay where a cleanup has found one due, and then %s', async (_what, keepLast, act) => {
    for (let n = 0; n <= keepLast; n++) await store.save(draft('a', { workflow: 'w' }), STATE);
    await store.finish('w');
    beforeTheRemoval(act);
    const rule = { now: NOW, savedBefore: NOW, keepLast, keepUnfinished: keepLast === 0, mode: 'remove' } as const;
    expect((await store.clean(rule, { phase: 'old' })).removed).toEqual([]);
    expect(await store.versions('a')).toContain(1);
  });

  it('are counted once by a cleanup at the very time at which their ttl ends', async () => {
    await store.save(draft('a', { expiresAt: NOW }), STATE);
    await store.save(draft('b', { expiresAt: NOW }), STATE);
    await store.mark('b', 'pinned', 1);
    const rule = { now: NOW, savedBefore: NOW, keepLast: 0, keepUnfinished: false, mode: 'dry-run' } as const;
    const first = await store.clean(rule, { phase: 'expired' });
    const second = await store.clean(rule, { phase: 'old' });
    expect([...first.removed, ...second.removed].map(({ record, reason }) => [record.id, reason])).toEqual([
      ['a', 'too-old'],
    ]);
    expect(first.pinnedKept + second.pinnedKept).toBe(1);
  });

  it('are damaged where one names another id', async () => {
    await store.save(draft('a'), STATE);
    const name = createHash('sha256').update('a', 'utf16le').digest('hex');
    await port?.command(['HSET', `${root}:v:${name}:1`, 'draft', JSON.stringify(draft('b'))]);
    expect(await store.read('a', { version: 1 })).toEqual({ outcome: 'damaged', version: 1 });
  });

  it('are reached over another connection after one was refused or lost', async () => {
    refused = 1;
    await expect(store.save(draft('a'), STATE)).rejects.toThrow('refused');
    expect((await store.save(draft('a'), STATE)).outcome).toBe('saved');
    const lost = port;
    const id = await lost?.command(['CLIENT', 'ID']);
    await lost?.command(['CLIENT', 'KILL', 'ID', String(id), 'SKIPME', 'no']).catch(() => undefined);
    await until(() => lost?.connected !== true);
    expect((await store.save(draft('a'), STATE)).outcome).toBe('saved');
  });

  it('are indexed where an earlier release saved one before a save of this release', async () => {
    await store.save(draft('a'), STATE);
    const name = createHash('sha256').update('a', 'utf16le').digest('hex');
    await port?.command(['HDEL', `${root}:v:${name}:1`, 'labels']);
    await port?.command(['DEL', `${root}:labelled`]);
    await store.save(draft('b', { labels: ['found'] }), STATE);
    const { records } = await store.list({ labels: ['found'], limit: 9 });
    expect(records.map(({ id }) => id)).toEqual(['b', 'a']);
  });
});
