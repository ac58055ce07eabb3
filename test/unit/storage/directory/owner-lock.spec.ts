import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock, nextTurn } from '../../../../lib/clock/clock.js';
import { socketLiveness } from '../../../../lib/ipc/socket.js';
import { acquireOwnership, type InUse, type Owned } from '../../../../lib/storage/directory/owner-lock.js';
import { FakeClock } from '../../../../lib/testing/fake-clock.js';
import { FakeLiveness } from '../../../support/fake-liveness.js';
import { until } from '../../../support/gate.js';
import { StorageBench } from '../../../support/storage.js';

/** Time passes in small steps until `happened`, with turns for the file system in between. */
const passUntil = (clock: FakeClock, happened: () => boolean): Promise<void> =>
  until(async () => {
    if (happened()) return true;
    await clock.advance('100ms');
    for (let n = 0; n < 20; n++) await nextTurn();
    return happened();
  });

/** The claims in a folder, as paths. */
const claimsIn = async (directory: string): Promise<readonly string[]> =>
  (await readdir(directory)).filter((file) => file.endsWith('.claim')).map((file) => join(directory, file));

const inUse = (ownership: Owned | InUse): InUse => {
  if (ownership.state !== 'in-use') throw new Error('It should be in use.');
  return ownership;
};

describe('acquireOwnership', () => {
  const bench = new StorageBench();
  afterEach(() => bench.dispose());

  const setUp = async () => {
    const [clock, liveness, directory] = [new FakeClock(), new FakeLiveness(), await bench.path('claims')];
    return { clock, liveness, directory, claim: () => acquireOwnership({ directory, liveness, clock }) };
  };

  it('names the first owner to the second process', async () => {
    const { claim } = await setUp();
    expect((await claim()).state).toBe('owned');
    const second = inUse(await claim());
    expect(second.first.pid).toBe(process.pid);
  });

  it('no longer holds it once a file has taken the place of the folder', async () => {
    const { directory, claim } = await setUp();
    const owned = await claim();
    if (owned.state !== 'owned') throw new Error('It should be free.');
    expect(await owned.isHeld()).toBe(true);
    await rm(directory, { recursive: true, maxRetries: 5 });
    await writeFile(directory, '');
    expect(await owned.isHeld()).toBe(false);
  });

  it('leaves no claim behind where it fails at the end, so that this process does not wait for itself', async () => {
    const { claim, directory, liveness } = await setUp();
    const litter = join(directory, `${'0'.repeat(12)}.tmp`);
    await mkdir(directory, { recursive: true });
    await writeFile(litter, '');
    await utimes(litter, 0, 0);
    const broken = jest.spyOn(liveness, 'isHeld');
    broken.mockImplementation(() =>
      Promise.reject(Object.assign(new Error('too many open files'), { code: 'EMFILE' })),
    );
    await expect(claim()).rejects.toMatchObject({ kind: 'io' });
    broken.mockRestore();
    expect((await claim()).state).toBe('owned');
  });

  it('hands over when the owner closes, and leaves nothing behind', async () => {
    const { clock, claim, directory } = await setUp();
    const first = await claim();
    let taken: Owned | undefined;
    inUse(await claim()).whenFree((owned) => (taken = owned));
    await clock.advance('3s');
    expect(taken).toBeUndefined();
    if (first.state === 'owned') await Promise.all([first.release(), first.release()]);
    await passUntil(clock, () => taken !== undefined);
    await taken?.release();
    expect(await readdir(directory)).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('hands over in the step in which the owner ends, without a wait', async () => {
    const { clock, liveness, claim } = await setUp();
    await claim();
    let taken: Owned | undefined;
    inUse(await claim()).whenFree((owned) => (taken = owned));
    liveness.end();
    await until(() => taken !== undefined);
    expect(clock.monotonic()).toBe(new FakeClock().monotonic());
  });

  it('tries once, not again and again, when the owner ends the observation but stays', async () => {
    const { clock, liveness, directory, claim } = await setUp();
    await claim();
    let observed = 0;
    const whenEnded = (_path: string, ended: () => void) => {
      observed++;
      setImmediate(ended);
      return () => undefined;
    };
    const hold = (path: string) => liveness.hold(path);
    const isHeld = (path: string) => liveness.isHeld(path);
    const waiting = inUse(await acquireOwnership({ directory, clock, liveness: { hold, isHeld, whenEnded } }));
    const stop = waiting.whenFree(() => undefined);
    await passUntil(clock, () => clock.monotonic() - new FakeClock().monotonic() >= 2_000);
    expect(observed).toBe(1);
    await stop();
  });

  it('goes to exactly one of many that claim at the same moment', async () => {
    const { claim } = await setUp();
    const states = (await Promise.all(Array.from({ length: 16 }, claim))).map(({ state }) => state);
    expect(states.filter((state) => state === 'owned')).toHaveLength(1);
  });

  it('does not take over because signs of life stopped, only because the holder ended', async () => {
    const { clock, liveness, claim } = await setUp();
    await claim();
    clock.step(40 * 86_400_000);
    expect((await claim()).state).toBe('in-use');
    liveness.end();
    expect((await claim()).state).toBe('owned');
  });

  it('waits for an owner on another kernel, which it cannot detect by its lock', async () => {
    const { clock, liveness, claim, directory } = await setUp();
    await claim();
    liveness.end();
    const [path = ''] = await claimsIn(directory);
    await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), bootId: 'another' }));
    clock.step(Date.now() - clock.now());
    expect((await claim()).state).toBe('in-use');
    clock.step(60_000);
    expect((await claim()).state).toBe('owned');
  });

  it('does not wait for one that its clock has not come to yet', async () => {
    const { clock, directory, claim } = await setUp();
    await mkdir(directory);
    const path = join(directory, '0123456789abcdef.claim');
    await writeFile(path, JSON.stringify({ pid: 1, host: 'there', bootId: 'another' }));
    const aDayOn = clock.now() / 1_000 + 86_400;
    await utimes(path, aDayOn, aDayOn);
    expect((await claim()).state).toBe('owned');
  });

  it('writes a heartbeat for processes that cannot detect its lock', async () => {
    const { clock, directory, claim } = await setUp();
    await claim();
    const [path = ''] = await claimsIn(directory);
    clock.step(400 * 86_400_000);
    const silentForMs = async (): Promise<number> => Math.abs(clock.now() - (await stat(path)).mtimeMs);
    expect(await silentForMs()).toBeGreaterThan(86_400_000);
    while ((await silentForMs()) > 86_400_000) await clock.advance('10s');
  });

  it('retries beside a process that has only announced itself, and withdraws as well', async () => {
    const { clock, liveness, directory } = await setUp();
    await mkdir(directory);
    await writeFile(join(directory, '0123456789abcdef.claim'), JSON.stringify({ pid: 1, host: 'here' }));
    const letGo = await liveness.hold(join(directory, '0123456789abcdef.sock'));
    let looks = 0;
    const isHeld = async (path: string): Promise<boolean> => {
      if (++looks === 6) await letGo();
      return liveness.isHeld(path);
    };
    const hold = (path: string) => liveness.hold(path);
    const whenEnded = (path: string, ended: () => void) => liveness.whenEnded(path, ended);
    expect((await acquireOwnership({ directory, clock, liveness: { hold, isHeld, whenEnded } })).state).toBe('owned');
  });

  it('releases an ownership that it receives just after it stopped waiting', async () => {
    const { clock, liveness, directory, claim } = await setUp();
    await claim();
    let taken = 0;
    let stopping: Promise<void> | undefined;
    let stop = (): Promise<void> => Promise.resolve();
    const hold = (path: string) => {
      stopping ??= stop();
      return liveness.hold(path);
    };
    const isHeld = (path: string) => liveness.isHeld(path);
    const whenEnded = (path: string, ended: () => void) => liveness.whenEnded(path, ended);
    const waiting = inUse(await acquireOwnership({ directory, clock, liveness: { hold, isHeld, whenEnded } }));
    stop = waiting.whenFree(() => taken++);
    liveness.end();
    await passUntil(clock, () => stopping !== undefined);
    await stopping;
    expect([taken, (await claim()).state]).toEqual([0, 'owned']);
  });

  it('stops waiting when aborted', async () => {
    const { clock, claim, liveness } = await setUp();
    await claim();
    let taken = 0;
    const stop = inUse(await claim()).whenFree(() => taken++);
    await stop();
    liveness.end();
    await clock.advance('5s');
    expect(taken).toBe(0);
  });

  it('distinguishes holders within one process, such as worker threads', async () => {
    const options = { directory: await bench.path('claims'), liveness: socketLiveness, clock: systemClock };
    const all = await Promise.all([1, 2, 3].map(() => acquireOwnership(options)));
    const owners = all.filter((ownership) => ownership.state === 'owned');
    expect(owners).toHaveLength(1);
    for (const owner of owners) await owner.release();
    expect((await acquireOwnership(options)).state).toBe('owned');
  });

  it('ends its ownership with the thread', async () => {
    const path = join(await bench.path(), '..', 'a.sock');
    const { Worker } = await import('node:worker_threads');
    const worker = new Worker(
      `const { parentPort, workerData } = require('node:worker_threads');
       require('node:net').createServer().listen(workerData, () => parentPort.postMessage('listening'));`,
      { eval: true, workerData: path },
    );
    await once(worker, 'message');
    expect(await socketLiveness.isHeld(path)).toBe(true);
    await worker.terminate();
    expect(await socketLiveness.isHeld(path)).toBe(false);
  });
});
