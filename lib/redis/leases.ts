import { type LeaseTable, TURN_LEASE_MS } from '../cache/turns.js';
import type { KeySpace } from './keys.js';
import { Script } from './client/redis-client.js';
import type { Connection } from './client/connection.js';

interface LeasesOptions {
  readonly keys: KeySpace;
  readonly connection: () => Connection | undefined;
}

const REMEMBERED = 1_000;

/** The server does not answer. */
class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

/** Leases of computations on the server, with a message when they are released. */
export class Leases implements LeaseTable {
  private readonly waiting = new Map<string, Set<() => void>>();

  constructor(private readonly options: LeasesOptions) {}

  nameOf(lane: string, key: string): string {
    return this.options.keys.lease(lane, key);
  }

  async take(name: string, token: string): Promise<'taken' | number> {
    const answer = await this.connection.run(TAKE, [name], [token, `${TURN_LEASE_MS}`]);
    return typeof answer === 'number' ? answer : 'taken';
  }

  async extend(name: string, token: string): Promise<boolean> {
    return (await this.connection.run(EXTEND, [name], [token, `${TURN_LEASE_MS}`])) !== 0;
  }

  async release(name: string, token: string): Promise<void> {
    await this.connection.run(GIVE_BACK, [name, this.options.keys.released], [token, `${REMEMBERED}`]);
  }

  listen(name: string): ReturnType<LeaseTable['listen']> {
    const wakes = this.waiting.get(name) ?? new Set();
    this.waiting.set(name, wakes);
    let wake = (): void => undefined;
    const ended = new Promise<void>((resolve) => (wake = resolve));
    wakes.add(wake);
    return {
      whenEnded: () => ended,
      stop: () => {
        wakes.delete(wake);
        if (wakes.size === 0) this.waiting.delete(name);
      },
    };
  }

  /** Leases that were released, by name. */
  ended(names: readonly string[]): void {
    for (const name of names) for (const wake of this.waiting.get(name) ?? []) wake();
  }

  private get connection(): Connection {
    const current = this.options.connection();
    if (current === undefined || !current.isSound) throw new Unreachable('the server does not answer');
    return current;
  }
}

/** KEYS: lease. ARGV: token, ms. -> 'TAKEN', or how many ms another one's has left. A lease without an end counts as free. */
export const TAKE = new Script(`
local left = redis.call('PTTL', KEYS[1])
if left >= 0 then return left end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 'TAKEN'`);

/** KEYS: lease. ARGV: token, ms. -> 0 if another token holds it. One that has lapsed is taken again. */
export const EXTEND = new Script(`
local holder = redis.pcall('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`);

/** KEYS: lease, stream of released leases. ARGV: token, how many are remembered. */
export const GIVE_BACK = new Script(`
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 'lease', KEYS[1])
return 1`);
