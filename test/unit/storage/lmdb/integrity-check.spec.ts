import { afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { readdir, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProbeOutcome } from '../../../../lib/storage/lmdb/probe.js';
import type * as IntegrityCheck from '../../../../lib/storage/lmdb/integrity-check.js';
import type { StorageBench } from '../../../support/storage.js';

const UNKNOWN: ProbeOutcome = { state: 'unknown', why: 'the child process was killed' };
const DIED: ProbeOutcome = { state: 'died', how: 'died of SIGSEGV' };
const SURVIVED: ProbeOutcome = { state: 'survived' };
const WRITE = { may: 'write', onTrust: false };

describe('a directory that a child process has to check', () => {
  const tells = { reading: SURVIVED, copy: SURVIVED };
  let bench: StorageBench;
  let checks: typeof IntegrityCheck;

  beforeAll(async () => {
    jest.unstable_mockModule('../../../../lib/storage/lmdb/probe.js', () => ({
      probe: () => Promise.resolve(tells.reading),
      probeCopy: () => Promise.resolve(tells.copy),
    }));
    const support = await import('../../../support/storage.js');
    bench = new support.StorageBench();
    checks = await import('../../../../lib/storage/lmdb/integrity-check.js');
  });
  afterEach(() => bench.dispose());

  /** What is made of one that was not closed, is as short as `share` says, and of which the child processes tell. */
  const judged = async (onMarkerLeft: 'quarantine' | 'probe', share: number, reading: ProbeOutcome, copy = reading) => {
    const directory = await bench.path();
    const { environment } = await bench.environment(directory);
    await environment.commit((transaction) => transaction.put(environment.table('t'), 'k', Buffer.alloc(1_000_000)));
    await environment.close();
    await rm(join(directory, 'closed'));
    const file = join(directory, 'data.mdb');
    await truncate(file, Math.floor((await stat(file)).size * share));
    Object.assign(tells, { reading, copy });
    const options = { directory, durability: 'session', onMarkerLeft, minFreeBytes: 0 } as const;
    const left = await checks.leftoversIn(directory);
    return checks.checkIntegrity(options, { path: directory }, left).catch((error: unknown) => String(error));
  };
  const short = expect.stringContaining('its newest meta page speaks of');

  it('is trusted as a cache unless it is short, or its reader died', async () => {
    expect(await judged('quarantine', 1, SURVIVED)).toEqual(WRITE);
    expect(await judged('quarantine', 1, UNKNOWN)).toEqual(WRITE);
    expect(await judged('quarantine', 0.5, UNKNOWN)).toEqual(short);
    expect(await judged('quarantine', 0.5, SURVIVED)).toEqual(WRITE);
    expect(await judged('quarantine', 1, DIED)).toContain('died of SIGSEGV');
  });

  it('is kept as checkpoints as long as it can be read, and written to only where a copy took it', async () => {
    expect(await judged('probe', 1, SURVIVED)).toEqual(WRITE);
    expect(await judged('probe', 1, SURVIVED, DIED)).toMatchObject({ may: 'read' });
    expect(await judged('probe', 1, UNKNOWN)).toEqual(WRITE);
    expect(await judged('probe', 0.5, UNKNOWN)).toEqual(short);
    expect(await judged('probe', 0.5, UNKNOWN)).toContain('StorageFault');
    expect(await judged('probe', 1, DIED)).toContain('died of SIGSEGV');
    expect(await judged('probe', 1, { state: 'empty' })).toContain('none of its tables');
  });
});

describe('a data file', () => {
  let bench: StorageBench;
  let checks: typeof IntegrityCheck;
  beforeAll(async () => {
    const support = await import('../../../support/storage.js');
    bench = new support.StorageBench();
    checks = await import('../../../../lib/storage/lmdb/integrity-check.js');
  });
  afterEach(() => bench.dispose());

  it('is open nowhere once all that left a marker have ended, and only then', async () => {
    const directory = await bench.path();
    const { environment } = await bench.environment(directory);
    const [own = ''] = (await readdir(directory)).filter((name) => name.startsWith('running.'));
    const [, , namespace] = own.split('.');
    const dead = spawnSync(process.execPath, ['-e', '0']).pid;
    const isOpenNowhere = (...markers: string[]): boolean => checks.isOpenNowhere({ markers, since: 'unknown' });
    expect(own).toMatch(/^running\.\d+\.\d*$/);
    expect(isOpenNowhere(`running.${dead}.${namespace}`)).toBe(true);
    expect(isOpenNowhere(`opening.${dead}.${namespace}`)).toBe(true);
    expect(isOpenNowhere(own)).toBe(false);
    expect(isOpenNowhere(`running.${dead}.${namespace}`, own)).toBe(false);
    expect(isOpenNowhere(`running.${dead}.another`)).toBe(false);
    expect(isOpenNowhere(`running.${dead}`)).toBe(false);
    expect(isOpenNowhere()).toBe(false);
    await environment.close();
    expect(checks.isOpenNowhere(await checks.leftoversIn(directory))).toBe(true);
  });
});
