import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { CheckpointStore } from '../../lib/checkpoints/checkpoint-store.js';
import { systemClock, KeepAlive } from '../../lib/clock/clock.js';
import { checkpointAnswers, RemoteCheckpointStore } from '../../lib/ipc/remote-checkpoint-store.js';
import { IpcServer } from '../../lib/ipc/server.js';
import { templateClient } from '../../lib/redis/client/connect.js';
import { CheckpointConnection, RedisCheckpointStore } from '../../lib/redis/checkpoints/redis-checkpoint-store.js';
import { KeySpace } from '../../lib/redis/keys.js';
import { checkpointsInMemory, HeardEvents } from '../support/checkpoints.js';
import { anyServer, describeWithRedis } from '../support/redis-server.js';
import { StorageBench } from '../support/storage.js';

interface Two {
  readonly stores: readonly [CheckpointStore, CheckpointStore];
  readonly dispose: () => Promise<void>;
}

const STEPS = 20;
const CALLERS = 5;

/** Callers of two processes, each of which wants all steps. */
function races(name: string, open: () => Promise<Two>): void {
  describe(`the callers of two processes ${name}`, () => {
    it.each([false, true])('end with one saved result per step (exclusive: %s)', async (exclusive) => {
      const { stores, dispose } = await open();
      const services = stores.map((store) => checkpointsInMemory({ clock: systemClock, store: () => store }).service);
      const runs: string[] = [];
      const got = await Promise.all(
        services.flatMap((service, process) =>
          Array.from({ length: CALLERS }, async (_, caller) => {
            const results: string[] = [];
            for (let n = 0; n < STEPS; n += 1) {
              const step = (n + caller * 3) % STEPS;
              const run = (): string => {
                runs.push(`${step}`);
                return `${step} of ${process}: ${runs.length}`;
              };
              results[step] = await service.runStep(`step ${step}`, run, { workflow: 'w', exclusive });
            }
            return results;
          }),
        ),
      );
      const [service] = services;
      for (let step = 0; step < STEPS; step += 1) {
        const results = new Set(got.map((results) => results[step]));
        expect([...results]).toEqual([await service?.restoreCheckpoint(`step ${step}`)]);
        expect(await service?.history(`step ${step}`)).toHaveLength(1);
      }
      if (exclusive) expect(runs).toHaveLength(STEPS);
      for (const store of stores) await store.close();
      await dispose();
    });
  });
}

races("of which one asks the other over the owner's socket", async () => {
  const bench = new StorageBench();
  const path = await bench.path('owner.sock');
  const { store: owned } = checkpointsInMemory({ clock: systemClock });
  const server = await IpcServer.listen(path, new Map(checkpointAnswers(() => owned)), systemClock);
  return {
    stores: [new RemoteCheckpointStore({ path, clock: systemClock, deadlineMs: 60_000 }), owned],
    dispose: async () => {
      await server.close();
      await bench.dispose();
    },
  };
});

describeWithRedis({ describe }, 'steps that instances share', () => {
  let server: Awaited<ReturnType<typeof anyServer>>;

  beforeAll(async () => {
    server = await anyServer();
  });
  afterAll(() => server.dispose());

  races('over Redis', async () => {
    const hold = new KeepAlive();
    const root = new KeySpace(randomUUID()).checkpoints;
    const store = async (): Promise<CheckpointStore> => {
      const template = await templateClient({ url: server.url });
      return new RedisCheckpointStore(new CheckpointConnection(template, root, systemClock, hold), new HeardEvents());
    };
    return { stores: [await store(), await store()], dispose: async () => hold.end() };
  });
});
