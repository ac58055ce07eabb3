import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createClient, createCluster, RESP_TYPES } from 'redis';
import { CacheManager } from '../library.mjs';
import { race } from '../race.mjs';
import { atMost, row, under, withheld } from '../row.mjs';
import { startCluster, startServer } from '../servers.mjs';
import { keys, oneKilobyte, scattered } from '../values.mjs';

const FOLLOWERS = 8;
const RATE = 100;
const SECONDS = 8;
const BARE_SECONDS = 3;
const BARE_XADD = 'a bare EVALSHA of one XADD';
/** Before that, so that what is measured is compiled. */
const WARM_UP = { task: 'invalidate', seconds: 4, rate: 500 };
const MISSED = 5_000;
const PROCESSES = 5;
const PER_PROCESS = 10;
const COUNT = 1_000;
const AT_ONCE = 32;
const ANSWERED_WITHIN_MS = 120_000;

/** What invalidations, catching up and reconnects cost, with a server of their own, and hits in a cluster. */
export async function redisLog(scratch) {
  const server = await startServer(scratch);
  if (server === undefined) {
    return row('Shared log', 'us', new Map(), [withheld('the bars of the log', 'redis-server is not on PATH')]);
  }
  const admin = await createClient({ url: server.url }).connect();
  scratch.onEnd(() => admin.destroy());
  const instances = (count, prefix) => start(scratch, server.url, prefix, count);
  return [
    await invalidations(admin, instances),
    await catchingUp(instances),
    await reconnects(admin, instances),
    await clusterHit(scratch),
  ];
}

async function invalidations(admin, instances) {
  const bare = await bareCommands(admin);
  const followers = await Promise.all(Array.from({ length: FOLLOWERS }, () => instances(1, 'paced')));
  const author = await instances(1, 'paced');
  await ask(author, WARM_UP);
  const follow = () => followers.map((each) => ask(each, { task: 'follow', seconds: SECONDS }));
  const quiet = await Promise.all(follow());
  await admin.sendCommand(['CONFIG', 'RESETSTAT']);
  const before = await cpuOf(admin);
  const following = follow();
  const { resolved, rejected } = await ask(author, { task: 'invalidate', seconds: SECONDS, rate: RATE });
  const server = ((await cpuOf(admin)) - before) / (resolved + rejected);
  const inCommand = await timesOf(admin);
  const perInvalidation = (name) => (inCommand.get(name) ?? 0) / (resolved + rejected);
  const reports = await Promise.all(following);
  const lags = Float64Array.from(reports.flatMap((report) => report.lags)).sort();
  const p99 = lags[Math.floor(lags.length * 0.99)];
  const perRecord = (all) => all.reduce((sum, { cpuUs }) => sum + cpuUs, 0) / FOLLOWERS / (RATE * SECONDS);
  const follower = perRecord(reports);
  const quietFollower = perRecord(quiet);
  for (const each of [...followers, author]) each.send({ task: 'end' });
  return row(
    `Invalidation, ${RATE} a second, ${FOLLOWERS} followers`,
    'us',
    new Map([
      ['CPU of the server', server],
      ['elapsed in scripts', perInvalidation('evalsha')],
      ['elapsed in reads of the log', perInvalidation('xread')],
      ...bare,
      ['CPU of a follower, per record', follower],
      [`the same follower without records, in 1/${RATE} s`, quietFollower],
      ['until others follow, p99', 1_000 * p99],
    ]),
    [
      under(server, 60, 'us', 'server'),
      atMost(server, bare.get(BARE_XADD), 1.5, BARE_XADD),
      under(follower, 30, 'us', 'follower'),
      under(follower - quietFollower, 30, 'us', 'follower above a quiet one'),
      under(p99, 1_000, 'ms', 'p99'),
      under(rejected, 0.5, 'calls', 'rejected'),
    ],
  );
}

/** What the server takes for nothing, and for one command of one client at the same pace: no invalidation can take less. */
async function bareCommands(admin) {
  const hash = await admin.scriptLoad(
    "return redis.call('XADD', KEYS[1], 'MAXLEN', '~', 10000, '*', 'record', ARGV[1])",
  );
  const record = 'x'.repeat(60);
  const commands = [
    [`the server without commands, in 1/${RATE} s`, () => undefined],
    ['a bare PING', () => admin.ping()],
    [BARE_XADD, () => admin.evalSha(hash, { keys: ['bare'], arguments: [record] })],
  ];
  const took = new Map();
  for (const [name, command] of commands) took.set(name, await pacedCpu(admin, command));
  return took;
}

async function pacedCpu(admin, command) {
  const before = await cpuOf(admin);
  const beganAt = performance.now();
  for (let n = 0; n < RATE * BARE_SECONDS; n++) {
    await new Promise((resolve) => setTimeout(resolve, beganAt + (n * 1_000) / RATE - performance.now()));
    await command();
  }
  return ((await cpuOf(admin)) - before) / (RATE * BARE_SECONDS);
}

/** An instance that was stopped for a while follows what it has missed. */
async function catchingUp(instances) {
  const [author, stopped] = [await instances(1, 'missed'), await instances(1, 'missed')];
  const receiving = ask(stopped, { task: 'hear', records: MISSED });
  // It listens before it is stopped.
  await new Promise((resolve) => setTimeout(resolve, 500));
  stopped.kill('SIGSTOP');
  await ask(author, { task: 'invalidate', seconds: 5, rate: MISSED / 5 });
  const beganAt = performance.now();
  stopped.kill('SIGCONT');
  await receiving;
  const tookMs = performance.now() - beganAt;
  for (const each of [author, stopped]) each.send({ task: 'end' });
  return row(`Catching up with ${MISSED} records`, 'ms', new Map([['lane-cache', tookMs]]), [
    under(tookMs, 2_000, 'ms', 'all followed after'),
  ]);
}

async function reconnects(admin, instances) {
  const all = await Promise.all(Array.from({ length: PROCESSES }, () => instances(PER_PROCESS, 'cut')));
  const back = all.map((each) => ask(each, { task: 'reconnect' }));
  const beganAt = performance.now();
  await admin.sendCommand(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes']);
  await Promise.all(back);
  const tookMs = performance.now() - beganAt;
  for (const each of all) each.send({ task: 'end' });
  return row(`${PROCESSES * PER_PROCESS} instances cut off at once`, 'ms', new Map([['lane-cache', tookMs]]), [
    under(tookMs, 2_000, 'ms', 'all back after'),
  ]);
}

async function clusterHit(scratch) {
  const ports = await startCluster(scratch);
  const title = 'L4 hit in a cluster of three, 1 KB value, 32 at a time';
  if (ports === undefined) return row(title, 'ns', new Map(), [withheld('a bare cluster GET', 'no server')]);
  const rootNodes = ports.map((port) => ({ url: `redis://127.0.0.1:${port}` }));
  const off = { enabled: false };
  const cache = await CacheManager.fromSettings({
    lane: 'shared',
    directory: false,
    lanes: { shared: { l1: { maxEntries: 1 }, l2: off, l3: off } },
    distributed: { client: createCluster({ rootNodes }), prefix: 'cluster', commandTimeout: '5s' },
  });
  scratch.onEnd(() => cache.close());
  const names = keys(COUNT, 'document');
  await cache.setMany(names.map((key, index) => [key, oneKilobyte(index)]));
  await cache.flush();
  const client = await createCluster({ rootNodes }).connect();
  scratch.onEnd(() => client.destroy());
  const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const entries = [];
  for (const master of client.masters) {
    const node = await client.nodeClient(master);
    for await (const some of node.scanIterator({ MATCH: 'cluster:e:*', COUNT: 1_000 })) entries.push(...some);
  }
  const at = (index, n) => scattered(index * AT_ONCE + n, COUNT);
  const many = (get) => Promise.all(Array.from({ length: AT_ONCE }, (_, n) => get(n)));
  const ours = {
    name: 'lane-cache L4',
    turn: (index) => many((n) => cache.getOrSet(names[at(index, n)], () => oneKilobyte(0))),
  };
  const bare = { name: 'node-redis GET', turn: (index) => many((n) => bytes.get(entries[at(index, n)])) };
  const took = await race([ours, bare]);
  return row(title, 'ns', took, [atMost(took.get(ours.name), took.get(bare.name), 1.5, 'a bare cluster GET')]);
}

async function start(scratch, url, prefix, count) {
  const file = fileURLToPath(new URL('../children/redis-instance.mjs', import.meta.url));
  const child = fork(file, [url, prefix, String(count)]);
  scratch.onEnd(() => child.kill('SIGKILL'));
  await once(child, 'message');
  return child;
}

async function ask(child, task) {
  const answer = once(child, 'message', { signal: AbortSignal.timeout(ANSWERED_WITHIN_MS) });
  child.send(task);
  const [message] = await answer;
  return message;
}

/** How long each command took, in us, since the last reset. What is left of the server's time is for waking up and the network. */
async function timesOf(admin) {
  const stats = await admin.info('commandstats');
  return new Map(
    Array.from(stats.matchAll(/cmdstat_(\w+):calls=\d+,usec=(\d+)/g), ([, name, us]) => [name, Number(us)]),
  );
}

async function cpuOf(admin) {
  const info = await admin.info('cpu');
  const seconds = (name) => Number(new RegExp(`used_cpu_${name}:([\\d.]+)`).exec(info)?.[1]);
  return 1e6 * (seconds('sys') + seconds('user'));
}
