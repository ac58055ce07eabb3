import { fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CacheManager } from '../library.mjs';
import { median, race } from '../race.mjs';
import { atMost, row, under } from '../row.mjs';
import { keys, scattered, smallObject } from '../values.mjs';

const OWNER = fileURLToPath(new URL('../children/owner.mjs', import.meta.url));
const ECHO = fileURLToPath(new URL('../children/echo.mjs', import.meta.url));
/** What a read and its answer take on the socket. */
const FRAMES = { question: 140, answer: 1_250 };
const COUNT = 500;
const HOT = keys(COUNT);
const ENTRIES = 5_000;
const STORED = keys(ENTRIES, 'document');
const TOGETHER = 64;
const ROUNDS = 9;

/** What the processes of one directory cost each other: the look at their log, and L3 in a process that does not own it. */
export async function host(scratch) {
  return [...(await hits(scratch)), ...(await beside(scratch))];
}

async function hits(scratch) {
  const hitOf = async (directory) => {
    const cache = await CacheManager.fromSettings({ lane: 'standard', directory });
    scratch.onEnd(() => cache.close());
    const hit = (index) => cache.getOrSet(HOT[index % COUNT], () => smallObject(index));
    for (let index = 0; index < COUNT; index++) await hit(index);
    return hit;
  };
  const [shared, alone] = [await hitOf(scratch.directory()), await hitOf(false)];
  const [named, unnamed] = ['with a directory', 'without one'];
  const inARow = await race([
    { name: named, turn: shared },
    { name: unnamed, turn: alone },
  ]);
  const ofTheirOwn = (hit) => async (index) => {
    await new Promise((turn) => setImmediate(turn));
    return hit(index);
  };
  const turns = await race([
    { name: named, turn: ofTheirOwn(shared) },
    { name: unnamed, turn: ofTheirOwn(alone) },
    { name: 'without one, and a bare readSync and nextTick', turn: ofTheirOwn(withBareLook(scratch, alone)) },
  ]);
  const [look, bareLook] = [named, 'without one, and a bare readSync and nextTick'].map(
    (name) => turns.get(name) - turns.get(unnamed),
  );
  return [
    row('L1 hit, one after the other', 'ns', inARow, [
      atMost(inARow.get(named), inARow.get(unnamed), 1.02, 'the same without a directory'),
    ]),
    row('L1 hit, one per turn of the event loop', 'ns', turns, [
      under(look / 1_000, 1.5, 'us', 'a look at the log takes'),
      atMost(look, bareLook, 1.5, 'a bare readSync and nextTick'),
    ]),
  ];
}

/** What no look can do without: it asks the system, and learns when the step has ended. */
function withBareLook(scratch, hit) {
  const file = openSync(join(scratch.directory(), 'log'), 'w+');
  scratch.onEnd(() => closeSync(file));
  writeSync(file, Buffer.alloc(64));
  const buffer = Buffer.alloc(64);
  const nothing = () => undefined;
  return (index) => {
    process.nextTick(nothing);
    readSync(file, buffer, 0, 64, 60);
    return hit(index);
  };
}

/** One question at a time to another process, by a socket alone. */
async function bareRoundTrip(scratch) {
  const path = join(scratch.directory(), 'echo.sock');
  const echo = fork(ECHO, [path, `${FRAMES.question}`, `${FRAMES.answer}`]);
  scratch.onEnd(() => echo.kill('SIGKILL'));
  await once(echo, 'message');
  const socket = connect(path);
  scratch.onEnd(() => socket.destroy());
  await once(socket, 'connect');
  let [answered, missing] = [() => undefined, 0];
  socket.on('data', (piece) => {
    missing -= piece.length;
    if (missing === 0) answered();
  });
  return () =>
    new Promise((resolve) => {
      [answered, missing] = [resolve, FRAMES.answer];
      socket.write(Buffer.alloc(FRAMES.question));
    });
}

async function beside(scratch) {
  const directory = scratch.directory();
  const owner = fork(OWNER, [directory, `${ENTRIES}`]);
  scratch.onEnd(() => owner.kill('SIGKILL'));
  await once(owner, 'message');
  // Every hit comes from L3.
  const lanes = { standard: { l1: { maxEntries: 1 }, l2: { enabled: false } } };
  const cache = await CacheManager.fromSettings({ lane: 'standard', directory, lanes });
  scratch.onEnd(() => cache.close());
  const get = (index) => cache.get(STORED[scattered(index, ENTRIES)]);
  const together = async (index) => {
    await Promise.all(Array.from({ length: TOGETHER }, (_, n) => get(index * TOGETHER + n)));
  };
  const took = await race(
    [
      { name: 'one at a time', turn: get },
      { name: 'a bare round trip', turn: await bareRoundTrip(scratch) },
      { name: `${TOGETHER} at a time`, turn: together },
    ],
    { rounds: ROUNDS },
  );
  const { hits: before, misses } = cache.getMetrics().l3;
  const cpu = [];
  for (let round = 0; round < ROUNDS; round++) {
    const startedAt = await cpuOf(owner);
    for (let index = 0; index < 20; index++) await together(round * 20 + index);
    cpu.push(((await cpuOf(owner)) - startedAt) / (20 * TOGETHER));
  }
  if (cache.getMetrics().l3.hits === before || misses > 0) throw new Error('host: not every read was a hit of L3');
  const perSecond = (1e9 / took.get(`${TOGETHER} at a time`)) * TOGETHER;
  took.set("the owner's CPU for each of 64", median(cpu) * 1_000);
  return [
    row('L3 hit of a process beside the owner, 1 KB', 'ns', took, [
      under(took.get('one at a time') / 1_000, 60, 'us', 'one at a time'),
      atMost(took.get('one at a time'), took.get('a bare round trip'), 2, 'a bare round trip'),
      atMost(40_000, perSecond, 1, `of 40,000/s at 64 in flight, which are ${Math.round(perSecond)}`),
      under(median(cpu), 10, 'us', "the owner's CPU for each"),
    ]),
  ];
}

/** In microseconds. */
async function cpuOf(process) {
  const answer = once(process, 'message');
  process.send('cpu');
  const [{ user, system }] = await answer;
  return user + system;
}
