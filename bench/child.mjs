import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Runs `children/<name>.mjs` in a process of its own, with more in its environment, and gives back the one message it sends. */
export function inChild(name, args, env = {}) {
  const file = fileURLToPath(new URL(`./children/${name}.mjs`, import.meta.url));
  return new Promise((resolve, reject) => {
    let answer;
    const child = fork(file, args, { execArgv: ['--expose-gc'], env: { ...process.env, ...env } });
    child.on('message', (message) => (answer = message));
    child.on('error', reject);
    child.on('exit', (code) => {
      if (code === 0 && answer !== undefined) resolve(answer);
      else reject(new Error(`children/${name}.mjs ended with ${code}`));
    });
  });
}
