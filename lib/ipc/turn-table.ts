import { type LeaseTable, TURN_LEASE_MS } from '../cache/turns.js';
import { type Clock, withDeadline } from '../clock/clock.js';
import { BackOff } from '../clock/retry.js';
import { ConnectionLost, IpcConnection } from './client.js';
import type { Answer } from './server.js';

interface HeldLease {
  readonly token: string;
  /** The process that holds it. */
  readonly caller: object;
  until: number;
  readonly wakes: Set<() => void>;
}

/** Of so many names the last holder is known after its lease has ended. */
const REMEMBERED = 10_000;

/**
 * The leases of computations, in the memory of the owner of a directory. Those of a process end with its connection. A new
 * owner knows none, and learns of those that are held as they are extended.
 */
export class TurnTable {
  private readonly held = new Map<string, HeldLease>();
  /** By name: the token of the last lease that has ended, the oldest first. */
  private readonly ended = new Map<string, string>();
  private isClosed = false;

  constructor(private readonly clock: Clock) {}

  /** 'taken', or for how many ms the lease of another holder still lasts. */
  take(name: string, token: string, caller: object): 'taken' | number {
    const holder = this.held.get(name);
    const leftMs = holder === undefined ? 0 : holder.until - this.clock.monotonic();
    if (leftMs > 0) return leftMs;
    this.grant(name, token, caller);
    // Those who wait learn of the new holder.
    for (const wake of holder?.wakes ?? []) wake();
    return 'taken';
  }

  /** False if another holder has taken it over. */
  extend(name: string, token: string, caller: object): boolean {
    const holder = this.held.get(name);
    if (!this.mayStore(name, token)) return false;
    if (holder === undefined) this.grant(name, token, caller);
    else holder.until = this.clock.monotonic() + TURN_LEASE_MS;
    return true;
  }

  /** False if another holder has had a lease on the name since. One that an earlier owner has granted counts as older. */
  mayStore(name: string, token: string): boolean {
    const last = this.held.get(name)?.token ?? this.ended.get(name) ?? token;
    return last === token;
  }

  release(name: string, token: string): void {
    const holder = this.held.get(name);
    if (holder?.token === token) this.end(name, holder);
  }

  /** Resolves when the present lease ends, at once if there is none. */
  whenEnded(name: string): Promise<void> {
    const holder = this.held.get(name);
    if (holder === undefined || this.isClosed) return Promise.resolve();
    return new Promise((wake) => holder.wakes.add(wake));
  }

  /** A process is gone: its leases have ended. */
  readonly left = (caller: object): void => {
    for (const [name, holder] of this.held) if (holder.caller === caller) this.end(name, holder);
  };

  /** Nobody waits any more. */
  close(): void {
    this.isClosed = true;
    for (const [name, holder] of this.held) this.end(name, holder);
  }

  /** What other processes may ask of it. */
  get answers(): readonly (readonly [string, Answer])[] {
    return [
      [callName('take'), async ([name, token], caller) => this.take(String(name), String(token), caller)],
      [callName('extend'), async ([name, token], caller) => this.extend(String(name), String(token), caller)],
      [callName('release'), async ([name, token]) => this.release(String(name), String(token))],
      [callName('whenEnded'), ([name]) => this.whenEnded(String(name))],
    ];
  }

  private grant(name: string, token: string, caller: object): void {
    this.held.set(name, { token, caller, until: this.clock.monotonic() + TURN_LEASE_MS, wakes: new Set() });
  }

  private end(name: string, { token, wakes }: HeldLease): void {
    this.held.delete(name);
    this.ended.delete(name);
    this.ended.set(name, token);
    const [oldest] = this.ended.keys();
    if (this.ended.size > REMEMBERED && oldest !== undefined) this.ended.delete(oldest);
    for (const wake of wakes) wake();
  }
}

const callName = (call: 'take' | 'extend' | 'release' | 'whenEnded'): string => `turns.${call}`;

/** The name of the lease on the computation of a key. */
export const turnNameOf = (lane: string, key: string): string => JSON.stringify([lane, key]);

interface HostLeasesOptions {
  readonly clock: Clock;
  /** The table of this process if it owns the directory, else where the owner answers. Undefined without a directory. */
  readonly owner: () => TurnTable | string | undefined;
}

/** An owner that does not answer in time is frozen: computing is better than waiting. */
const DEADLINE_MS = 500;
const COOLDOWN = { firstMs: 500, longestMs: 5_000 };

/** The leases of computations among the processes of a directory, through its owner. */
export class HostLeases implements LeaseTable {
  private line: Promise<IpcConnection> | undefined;
  private isClosed = false;
  private restUntil = 0;
  private readonly cooldown = new BackOff(COOLDOWN);

  constructor(private readonly options: HostLeasesOptions) {}

  nameOf(lane: string, key: string): string {
    return turnNameOf(lane, key);
  }

  async take(name: string, token: string): Promise<'taken' | number> {
    const owner = this.options.owner();
    if (owner instanceof TurnTable) return owner.take(name, token, this);
    const { clock } = this.options;
    if (clock.monotonic() < this.restUntil) throw new ConnectionLost('the owner did not answer a moment ago');
    try {
      const answer = await this.ask<'taken' | number>('take', owner, name, token);
      this.cooldown.reset();
      return answer;
    } catch (error) {
      if (!(error instanceof ConnectionLost)) this.restUntil = clock.monotonic() + this.cooldown.next();
      // It may have been granted all the same.
      void this.release(name, token).catch(() => undefined);
      throw error;
    }
  }

  async extend(name: string, token: string): Promise<boolean> {
    const owner = this.options.owner();
    return owner instanceof TurnTable ? owner.extend(name, token, this) : this.ask('extend', owner, name, token);
  }

  async release(name: string, token: string): Promise<void> {
    const owner = this.options.owner();
    if (owner instanceof TurnTable) owner.release(name, token);
    else await this.ask('release', owner, name, token);
  }

  listen(name: string): ReturnType<LeaseTable['listen']> {
    return {
      whenEnded: async () => {
        const owner = this.options.owner();
        if (owner instanceof TurnTable) return owner.whenEnded(name);
        const connection = await this.connected(owner);
        return connection.call<undefined>(callName('whenEnded'), name);
      },
      stop: () => undefined,
    };
  }

  /** From here on nobody can be asked, and what this process holds has ended. */
  close(): void {
    this.isClosed = true;
    this.line?.then((connection) => connection.close()).catch(() => undefined);
  }

  private async ask<T>(
    call: 'take' | 'extend' | 'release',
    path: string | undefined,
    name: string,
    token: string,
  ): Promise<T> {
    const connection = await this.connected(path);
    const answer = connection.call<T>(callName(call), name, token);
    return withDeadline(this.options.clock, answer, DEADLINE_MS, 'the owner of the directory');
  }

  private connected(path: string | undefined): Promise<IpcConnection> {
    if (path === undefined || this.isClosed) return Promise.reject(new ConnectionLost('no process owns the directory'));
    if (this.line !== undefined) return this.line;
    const line = IpcConnection.open(path, this.options.clock, DEADLINE_MS);
    this.line = line;
    const forget = (): void => {
      if (this.line === line) this.line = undefined;
    };
    line.then((connection) => connection.whenLost(forget), forget);
    return line;
  }
}
