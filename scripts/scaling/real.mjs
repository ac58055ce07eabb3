import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { createClient } from 'redis';

const SECONDS = 5;
/** Instances share processes, so that fifty of them fit on a small machine. */
const PER_PROCESS = 5;

/** The same with real instances and a real server of this machine. */
export async function measureReal({ instances, rate }) {
  const server = await startServer();
  const processes = [];
  try {
    for (let left = instances; left > 0; left -= PER_PROCESS) {
      const some = Math.min(PER_PROCESS, left);
      const share = String((rate * some) / instances);
      const child = fork(new URL('instances.mjs', import.meta.url), [server.url, String(some), share, String(SECONDS)]);
      processes.push(child);
      await once(child, 'message');
    }
    const admin = await createClient({ url: server.url }).connect();
    const before = await cpuOf(admin);
    const reports = processes.map((child) => once(child, 'message'));
    for (const child of processes) child.send('go');
    const results = (await Promise.all(reports)).map(([report]) => report);
    const usEach = ((await cpuOf(admin)) - before) / (rate * SECONDS);
    await admin.close();
    const lags = Float64Array.from(results.flatMap((report) => report.lags)).sort();
    return { usEach, lag: (share) => lags[Math.min(lags.length - 1, Math.floor(lags.length * share))] };
  } finally {
    for (const child of processes) child.kill('SIGKILL');
    server.child.kill('SIGKILL');
  }
}

async function startServer() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  const child = spawn(
    'redis-server',
    ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  for await (const line of createInterface({ input: child.stdout })) if (/ready to accept/i.test(line)) break;
  child.stdout.resume();
  return { child, url: `redis://127.0.0.1:${port}` };
}

async function cpuOf(admin) {
  const info = await admin.info('cpu');
  const seconds = (name) => Number(new RegExp(`used_cpu_${name}:([\\d.]+)`).exec(info)?.[1]);
  return 1e6 * (seconds('sys') + seconds('user'));
}
