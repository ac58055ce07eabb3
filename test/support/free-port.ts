import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below those that systems give to outgoing connections, which would take the port of a server that is restarted. */
const PORTS = { from: 20_000, below: 32_000 };
const TRIES = 100;

/** A port of this machine on which nobody listens now. */
export async function freePort(): Promise<number> {
  const refusals = new Set<string>();
  for (let n = 0; n < TRIES; n++) {
    const port = randomInt(PORTS.from, PORTS.below);
    const probe = createServer().listen(port, '127.0.0.1');
    const refusal = await once(probe, 'listening').then(() => undefined, String);
    if (refusal === undefined) {
      probe.close();
      await once(probe, 'close');
      return port;
    }
    refusals.add(refusal);
  }
  throw new Error(`No port is free: ${[...refusals].join(', ')}`);
}
