import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { rm } from 'node:fs/promises';
import type { CheckpointDraft } from '../../../lib/checkpoints/checkpoint-store.js';
import type { LocalCheckpointStore } from '../../../lib/checkpoints/local/local-checkpoint-store.js';
import { UnavailableCheckpointStore } from '../../../lib/checkpoints/unavailable-checkpoint-store.js';
import { systemClock, nextTurn } from '../../../lib/clock/clock.js';
import { callName, checkpointAnswers, RemoteCheckpointStore } from '../../../lib/ipc/remote-checkpoint-store.js';
import { type Answer, IpcServer } from '../../../lib/ipc/server.js';
import { StorageFault } from '../../../lib/storage/environment.js';
import { checkpointsInMemory } from '../../support/checkpoints.js';
import { Gate, until } from '../../support/gate.js';
import { StorageBench } from '../../support/storage.js';

const DRAFT: CheckpointDraft = { id: 'id', lane: 'standard', savedAt: 0, sizeBytes: 1, checksum: 'c' };
const STATE = Uint8Array.of(1);

describe('checkpoints in another process', () => {
  const bench = new StorageBench();
  const servers: IpcServer[] = [];
  let path: string;
  let kept: LocalCheckpointStore;
  let remote: RemoteCheckpointStore;

  beforeEach(async () => {
    path = await bench.path('owner.sock');
    kept = checkpointsInMemory().store;
    remote = new RemoteCheckpointStore({ path, clock: systemClock, deadlineMs: 2_000 });
  });
  afterEach(async () => {
    await remote.close();
    for (const server of servers.splice(0)) await server.close();
    await bench.dispose();
  });

  const own = async (instead: readonly (readonly [string, Answer])[] = []): Promise<IpcServer> => {
    await rm(path, { force: true });
    const server = await IpcServer.listen(path, new Map([...checkpointAnswers(() => kept), ...instead]), systemClock);
    servers.push(server);
    return server;
  };

  it('stores a save once when its answer was lost with the owner', async () => {
    // it stores what it is asked to, and dies before it can say so
    const save: Answer = async ([draft]) => {
      const token: unknown = Reflect.get(Object(draft), 'token');
      await kept.save({ ...DRAFT, token: String(token) }, STATE, { expectedVersion: 0 });
      return new Promise<never>(() => undefined);
    };
    const first = await own([[callName('save'), save]]);
    const saving = remote.save(DRAFT, STATE, { expectedVersion: 0 });
    await until(async () => (await kept.versions('id')).length > 0);
    await first.close();
    await own();
    expect(await saving).toMatchObject({ outcome: 'saved', record: { version: 1 } });
    expect(await kept.versions('id')).toEqual([1]);
    expect(await remote.save(DRAFT, STATE)).toMatchObject({ record: { version: 2 } });
  });

  it('continues with its own store when it has become the owner', async () => {
    const waiting = remote.save(DRAFT, STATE);
    remote.succeed(kept);
    expect(await waiting).toMatchObject({ outcome: 'saved', record: { version: 1 } });
    expect(await remote.history('id', 9)).toHaveLength(1);
  });

  it('asks the next owner when the one it knows is closing', async () => {
    await own();
    await remote.save(DRAFT, STATE);
    const before = kept;
    kept = checkpointsInMemory().store;
    await before.close();
    expect(await remote.versions('id')).toEqual([]);
    expect(remote.state.state).toBe('on');
  });

  it('fails when no process owns the directory', async () => {
    await expect(remote.versions('id')).rejects.toMatchObject({ code: 'CHECKPOINTS_UNAVAILABLE' });
  });

  it("passes the owner's own error on unchanged", async () => {
    const off = new UnavailableCheckpointStore('disk-full', 'the disk is full.');
    servers.push(await IpcServer.listen(path, new Map(checkpointAnswers(() => off)), systemClock));
    await expect(remote.versions('id')).rejects.toMatchObject({ code: 'CHECKPOINTS_UNAVAILABLE' });
    await remote.usage(0);
    expect(remote.state).toMatchObject({ state: 'off', reason: 'disk-full' });
    const full = (): Promise<never> => Promise.reject(new StorageFault('disk-full', 'no room'));
    await servers.pop()?.close();
    await own([[callName('versions'), full]]);
    await expect(remote.versions('id')).rejects.toMatchObject({ name: 'StorageFault', kind: 'disk-full' });
  });

  it('asks once for what the owner refuses', async () => {
    let asked = 0;
    const refuse = (): Promise<never> => {
      asked++;
      return Promise.reject(new StorageFault('io', 'a broken disk'));
    };
    await own([[callName('save'), refuse]]);
    await expect(remote.save(DRAFT, STATE)).rejects.toMatchObject({ name: 'StorageFault', kind: 'io' });
    expect(asked).toBe(1);
  });

  it('lets what is under way end before it closes, and asks for nothing afterwards', async () => {
    const gate = new Gate();
    const order: string[] = [];
    const save: Answer = async () => {
      order.push('asked');
      await gate.whenOpen;
      return kept.save(DRAFT, STATE);
    };
    await own([[callName('save'), save]]);
    const saving = remote.save(DRAFT, STATE).then(({ outcome }) => order.push(outcome));
    await until(() => order.length > 0);
    const closing = remote.close().then(() => order.push('closed'));
    for (let n = 0; n < 20; n++) await nextTurn();
    gate.open();
    await Promise.all([saving, closing]);
    expect(order).toEqual(['asked', 'saved', 'closed']);
    await expect(remote.versions('id')).rejects.toMatchObject({ kind: 'closed' });
  });
});
