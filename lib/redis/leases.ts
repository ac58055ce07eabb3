import type { ClusterTurn, ClusterTurns } from '../cache/lane-context.js';
import { type Clock, randomId } from '../clock/clock.js';
import type { KeepAlive } from '../clock/keep-alive.js';
import type { KeySpace } from './keys.js';
import { numberOf, Script } from './client/redis-client.js';
import type { Connection } from './client/connection.js';

interface LeasesOptions {
  readonly keys: KeySpace;
  readonly clock: Clock;
  readonly connection: () => Connection | undefined;
  /** Resolves when the entries that are being written are on the server. */
  readonly written: () => Promise<unknown>;
  readonly hold: KeepAlive;
}

/** A holder that does not extend its lease loses it after this. */
const LEASE_MS = 3_000;
/** The longest wait for another instance. */
const WAIT_AT_MOST_MS = 30_000;
const REMEMBERED = 1_000;

const OWN_TURN: ClusterTurn = Object.freeze({ end: () => undefined });

/** Turns as leases on the server: with a token, an end, and a message when they are released. */
export class Leases implements ClusterTurns {
  private readonly waiting = new Map<string, Set<() => void>>();

  constructor(private readonly options: LeasesOptions) {}

  take(lane: string, key: string): Promise<ClusterTurn | 'ended'> {
    return this.options.hold.during(this.awaitTurn(lane, key));
  }

  /** Leases that were released, by name. */
  ended(names: readonly string[]): void {
    for (const name of names) for (const wake of this.waiting.get(name) ?? []) wake();
  }

  private async awaitTurn(lane: string, key: string): Promise<ClusterTurn | 'ended'> {
    const { keys, clock, connection } = this.options;
    const name = keys.lease(lane, key);
    const token = randomId();
    const giveUpAt = clock.monotonic() + WAIT_AT_MOST_MS;
    for (;;) {
      const current = connection();
      if (current === undefined || !current.isSound) return OWN_TURN;
      // Before asking, so that a release in between is not missed.
      const ended = this.listen(name);
      try {
        const answer = await current.run(TAKE, [name], [token, `${LEASE_MS}`]);
        if (typeof answer !== 'number') return this.begin(current, name, token);
        const leftMs = Math.min(Math.max(numberOf(answer), 1), giveUpAt - clock.monotonic());
        if (leftMs <= 0) return OWN_TURN;
        if ((await ended.within(leftMs)) === 'ended') return 'ended';
      } catch {
        return OWN_TURN;
      } finally {
        ended.stop();
      }
    }
  }

  private begin(connection: Connection, name: string, token: string): ClusterTurn {
    const { clock } = this.options;
    const extension = { cancel: (): void => undefined };
    const extend = (): void => {
      extension.cancel = clock.schedule(LEASE_MS / 3, () => {
        connection.run(EXTEND, [name], [token, `${LEASE_MS}`]).catch(() => undefined);
        extend();
      });
    };
    extend();
    return {
      end: () => {
        extension.cancel();
        void this.giveBack(connection, name, token);
      },
    };
  }

  /** Releases the lease after the entry is written, so that the next instance finds it. */
  private async giveBack(connection: Connection, name: string, token: string): Promise<void> {
    try {
      await this.options.written();
      await connection.run(GIVE_BACK, [name, this.options.keys.released], [token, `${REMEMBERED}`]);
    } catch {
      // The lease ends by itself.
    }
  }

  private listen(name: string): { within(ms: number): Promise<'ended' | 'late'>; stop(): void } {
    const { clock } = this.options;
    const wakes = this.waiting.get(name) ?? new Set();
    this.waiting.set(name, wakes);
    const state: { hasEnded: boolean; tell: () => void } = { hasEnded: false, tell: () => undefined };
    const wake = (): void => {
      state.hasEnded = true;
      state.tell();
    };
    wakes.add(wake);
    return {
      within: (ms) =>
        new Promise((resolve) => {
          if (state.hasEnded) return resolve('ended');
          const cancel = clock.schedule(ms, () => resolve('late'));
          state.tell = () => {
            cancel();
            resolve('ended');
          };
        }),
      stop: () => {
        wakes.delete(wake);
        if (wakes.size === 0) this.waiting.delete(name);
      },
    };
  }
}

/** KEYS: lease. ARGV: token, ms. -> 'TAKEN', or how many ms another one's has left. A lease without an end counts as free. */
export const TAKE = new Script(`
local left = redis.call('PTTL', KEYS[1])
if left >= 0 then return left end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 'TAKEN'`);

/** KEYS: lease. ARGV: token, ms. -> 1 if the token still holds it. */
export const EXTEND = new Script(`
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`);

/** KEYS: lease, stream of released leases. ARGV: token, how many are remembered. */
export const GIVE_BACK = new Script(`
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 'lease', KEYS[1])
return 1`);
