import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { type Child, Workshop } from '../support/child-process.js';
import { StorageBench } from '../support/storage.js';

/** Claims the directory, says how that went, and takes over as soon as it may. Opens a session as well. */
const CLAIMER = `
import { systemClock } from './lib/clock/clock.js';
import { socketLiveness } from './lib/ipc/socket.js';
import { LaneCacheDirectory } from './lib/storage/directory/cache-directory.js';
import { acquireOwnership } from './lib/storage/directory/owner-lock.js';
const shared = { liveness: socketLiveness, clock: systemClock };
const directory = await LaneCacheDirectory.prepare({ root: process.argv[2], ...shared });
await directory.openSession({ version: '1', server: undefined });
const ownership = await acquireOwnership({ directory: directory.claims, ...shared });
let owned = ownership;
console.log(ownership.state + ' ' + (ownership.first?.pid ?? process.pid));
if (ownership.state === 'in-use') ownership.whenFree((taken) => { owned = taken; console.log('taken over ' + process.pid); });
process.stdin.on('data', async () => { await owned.release(); console.log('released'); });
`;

const canUnshare = (): boolean => {
  try {
    execFileSync('unshare', ['--pid', '--net', '--fork', '--mount-proc', 'true'], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
};

/** Knocks until the system takes no more on behalf of one who does not open. */
const knock = async (claims: string): Promise<readonly Socket[]> => {
  const [name = ''] = (await readdir(claims)).filter((one) => one.endsWith('.sock'));
  const sockets: Socket[] = [];
  const answered = (socket: Socket): Promise<boolean> =>
    new Promise((resolve) => socket.on('connect', () => resolve(true)).on('error', () => resolve(false)));
  while (sockets.length < 5_000) {
    const socket = connect(join(claims, name));
    sockets.push(socket);
    if (!(await answered(socket))) break;
  }
  return sockets;
};

describe('the owner of a directory', () => {
  const bench = new StorageBench();
  let workshop: Workshop;
  beforeAll(async () => (workshop = await Workshop.build()));
  afterAll(() => workshop.dispose());
  afterEach(() => bench.dispose());

  const claim = (root: string, wrapper: readonly string[] = []): Promise<Child> =>
    workshop.run(CLAIMER, [root], wrapper);

  it('is exactly one of many that start at once, also at the end of a very long path', async () => {
    for (const deep of ['root', `${'deep/'.repeat(30)}root`]) {
      const root = await bench.path(deep);
      const children = await Promise.all([1, 2, 3, 4].map(() => claim(root)));
      const lines = await Promise.all(children.map((child) => child.line()));
      expect(lines.filter((line) => line.startsWith('owned'))).toHaveLength(1);
      const owner = lines.find((line) => line.startsWith('owned'))?.split(' ')[1];
      expect(lines.filter((line) => line === `in-use ${owner}`)).toHaveLength(3);
      await Promise.all(children.map((child) => child.end('SIGKILL')));
    }
  });

  it('is succeeded by one waiting process, when it is killed and when it closes', async () => {
    const root = await bench.path();
    const first = await claim(root);
    expect(await first.line()).toBe(`owned ${first.pid}`);
    const waiting = await Promise.all([claim(root), claim(root)]);
    for (const child of waiting) expect(await child.line()).toBe(`in-use ${first.pid}`);
    await first.end('SIGKILL');
    // Not by reading lines: who still waits for one would take the one that is read later.
    const second = await Promise.race(waiting.map((child) => child.written('taken over').then(() => child)));
    expect(await second.line()).toBe(`taken over ${second.pid}`);
    const third = waiting.find((child) => child !== second);
    second.say('release');
    expect(await second.line()).toBe('released');
    expect(await third?.line()).toBe(`taken over ${third?.pid}`);
    for (const child of waiting) await child.end('SIGKILL');
  });

  it('stays the owner while it is frozen', async () => {
    const root = await bench.path();
    const owner = await claim(root);
    await owner.line();
    owner.signal('SIGSTOP');
    const knocking = await knock(join(root, 'claims'));
    const other = await claim(root);
    expect(await other.line()).toBe(`in-use ${owner.pid}`);
    for (const socket of knocking) socket.destroy();
    owner.signal('SIGCONT');
    owner.say('release');
    expect(await owner.line()).toBe('released');
    expect(await other.line()).toBe(`taken over ${other.pid}`);
    for (const child of [owner, other]) await child.end('SIGKILL');
  });

  it('is detected from another container, and so is its end', async () => {
    if (!canUnshare()) return console.warn('containers are not tried: unshare is not permitted here');
    const container = ['unshare', '--pid', '--net', '--fork', '--kill-child', '--mount-proc'];
    const root = await bench.path();
    const owner = await claim(root, container);
    expect(await owner.line()).toBe('owned 1');
    const other = await claim(root, container);
    expect(await other.line()).toBe('in-use 1');
    await owner.end('SIGKILL');
    expect(await other.line()).toBe('taken over 1');
    await other.end('SIGKILL');
  });

  it('finds the sessions of the dead and removes those alone', async () => {
    const root = await bench.path();
    const [living, dead] = [await claim(root), await claim(root)];
    await Promise.all([living.line(), dead.line()]);
    await dead.end('SIGKILL');
    await mkdir(join(root, 'sessions', 'mine'));
    await mkdir(join(root, 'sessions', '77-0123456789ab'));
    await writeFile(join(root, 'sessions', 'note'), '');
    const sweeper = await workshop.run(
      `import { systemClock } from './lib/clock/clock.js';
       import { socketLiveness } from './lib/ipc/socket.js';
       import { LaneCacheDirectory } from './lib/storage/directory/cache-directory.js';
       const directory = await LaneCacheDirectory.prepare({ root: process.argv[2], liveness: socketLiveness, clock: systemClock });
       console.log(await directory.removeDeadSessions());`,
      [root],
    );
    expect((await sweeper.end()).lines).toEqual(['1']);
    const left = await readdir(join(root, 'sessions'));
    expect(new Set(left)).toEqual(
      new Set(['77-0123456789ab', 'mine', 'note', left.find((name) => name.startsWith(`${living.pid}-`))]),
    );
    await living.end('SIGKILL');
  });
});
