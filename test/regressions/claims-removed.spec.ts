import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Workshop } from '../support/child-process.js';
import { FaultChild, lostOf, nothingYet } from '../support/fault-child.js';
import { tell } from '../support/fault-table.js';
import { StorageBench } from '../support/storage.js';

const KEYS = 20;

describe('a directory whose claim files were removed while its owner runs', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  it('is opened by another process only after the owner has ended, with all its data', async () => {
    if (process.platform !== 'linux') return console.warn('Only Linux tells whose locks there are.');
    const directory = await bench.path('cache');
    const acknowledged = nothingYet();
    const owner = await FaultChild.start(workshop, { directory }, acknowledged);
    await owner.ask('fill', { keys: KEYS, bytes: 500 });
    await rm(join(directory, 'claims'), { recursive: true, maxRetries: 5 });

    const other = await FaultChild.start(workshop, { directory }, acknowledged);
    expect(await other.ask('state')).toEqual({ l1: 'on', l2: 'on', l3: 'off breaker' });
    await expect(other.ask('save', 'flow', 1)).rejects.toThrow('CHECKPOINTS_UNAVAILABLE');
    const logged: readonly string[] = await other.ask('logged');
    expect(logged.filter((line) => line.includes(`rocess ${owner.child.pid} has`))).not.toEqual([]);

    await owner.ask('start', { keys: KEYS, bytes: 500 });
    await owner.hear(40);
    const beside = await owner.ask('stop');
    expect(beside).toMatchObject({ wrong: 0, refused: 0, unhandled: 0 });
    const endedAt = performance.now();
    const endings = [await owner.end('SIGKILL')];

    for (const tier of ['l3', 'checkpoints']) expect(await other.ask('until', tier, 'on')).toBe('on');
    const recoveredInMs = performance.now() - endedAt;
    const lost = await lostOf(other, acknowledged);
    const seen = await other.ask('check', { invalidated: [...acknowledged.invalidated], keys: KEYS, bytes: 500 });
    endings.push(await other.end('SIGKILL'));
    const crashes = endings.filter((ending) => ending !== 'SIGKILL').length;
    const row = { calls: beside.calls + seen.calls, wrong: seen.wrong + seen.unhandled, lost, crashes };
    tell({ fault: 'F4 claims removed while the owner lives', rounds: 1, ...row, recoveredInMs });
    expect(row).toMatchObject({ wrong: 0, lost: 0, crashes: 0 });
  }, 120_000);
});
