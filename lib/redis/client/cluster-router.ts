import { type Clock, withDeadline } from '../../clock/clock.js';
import {
  listOf,
  numberOf,
  placeOf,
  type RedisArgument,
  type RedisClusterPort,
  type RedisPort,
  type RedisTemplate,
  textOf,
} from './redis-client.js';
import { lengthOf, WatchedPort, type WatchedPortOptions } from './watched-port.js';

const SLOTS = 16_384;
/** How often one command follows the cluster to another node. */
const REDIRECTED_AT_MOST = 5;
/** How long a node that could not be reached is left alone, and how far apart the cluster is asked for its nodes. */
const RETRY_AFTER_MS = 250;
const OPEN_WITHIN_MS = 2_000;

type Node =
  | { readonly phase: 'opening'; readonly done: Promise<void> }
  | { readonly phase: 'open'; readonly port: WatchedPort }
  | { readonly phase: 'failed'; readonly at: number };

/** Where the cluster says that a command is to be sent instead. */
interface Redirection {
  readonly kind: 'MOVED' | 'ASK';
  readonly address: string;
}

/**
 * Sends commands about one key to the master that serves it, and follows the cluster when slots move. No command waits for a
 * connection: while there is none, it is rejected at once.
 */
export class ClusterRouter {
  private slots: (string | undefined)[] = [];
  private readonly nodes = new Map<string, Node>();
  private refreshing: Promise<void> | undefined;
  private refreshedAt = -Infinity;
  private isClosed = false;

  constructor(
    private readonly port: RedisClusterPort,
    private readonly clock: Clock,
    private readonly options: WatchedPortOptions,
  ) {}

  /** Opens connections whose `duplicate` connects to the master that serves the slot of `key` at that time. */
  templateOf(key: string): RedisTemplate {
    return { duplicate: () => this.openMasterOf(key), close: () => this.close() };
  }

  /** Rejects with the server's error, and when the node of the key is not connected or does not answer in time. */
  command(key: string, args: readonly RedisArgument[]): Promise<unknown> {
    return this.send(key, (port) => port.command(args));
  }

  /** Reads the entry of that name. */
  read(name: string): Promise<unknown> {
    return this.send(name, (port, address) => port.read(['GET', name], () => this.measure(address, name)));
  }

  /** Over a connection of its own, because the other one is busy. */
  private async measure(address: string, name: string): Promise<number> {
    const port = await withDeadline(this.clock, this.port.open(address), OPEN_WITHIN_MS, `the node ${address}`);
    try {
      return await lengthOf(port, [name]);
    } finally {
      await port.close();
    }
  }

  private async send(key: string, ask: (port: WatchedPort, address: string) => Promise<unknown>): Promise<unknown> {
    const slot = slotOf(key);
    let redirected: Redirection | undefined;
    for (let left = REDIRECTED_AT_MOST; ; left--) {
      const address = redirected?.address ?? this.slots[slot];
      const port = this.connectedTo(address);
      // On one connection, nothing comes between the two.
      if (redirected?.kind === 'ASK') port.command(['ASKING']).catch(() => undefined);
      try {
        return await ask(port, address ?? '');
      } catch (error) {
        redirected = redirectionOf(error);
        if (redirected === undefined || left === 0) throw error;
        if (redirected.kind === 'MOVED') this.moved(slot, redirected.address);
      }
    }
  }

  /** The masters that are connected. */
  get masters(): readonly WatchedPort[] {
    return [...new Set(this.slots)].flatMap((address) => {
      const node = address === undefined ? undefined : this.nodes.get(address);
      return node?.phase === 'open' ? [node.port] : [];
    });
  }

  async close(): Promise<void> {
    this.isClosed = true;
    const open = [...this.nodes.values()];
    this.nodes.clear();
    await Promise.allSettled(open.map(async (node) => (node.phase === 'open' ? node.port.close() : undefined)));
  }

  private async openMasterOf(key: string): Promise<RedisPort> {
    await this.refresh();
    // So that entries can be asked for when the log has been met.
    await Promise.all([...this.nodes.values()].map(async (node) => (node.phase === 'opening' ? node.done : undefined)));
    const address = this.slots[slotOf(key)];
    if (address === undefined) throw new Error('no node of the cluster serves the log');
    return this.port.open(address);
  }

  private connectedTo(address: string | undefined): WatchedPort {
    const node = address === undefined ? undefined : this.nodes.get(address);
    if (node?.phase === 'open' && node.port.isSound) return node.port;
    if (address !== undefined && node?.phase !== 'open') this.connect(address);
    throw new Error(`the node ${address ?? 'of the slot'} is not connected`);
  }

  private moved(slot: number, address: string): void {
    this.slots[slot] = address;
    void this.refresh().catch(() => undefined);
    this.connect(address);
  }

  private connect(address: string): void {
    const node = this.nodes.get(address);
    if (this.isClosed || node?.phase === 'open' || node?.phase === 'opening') return;
    if (node?.phase === 'failed' && this.clock.monotonic() - node.at < RETRY_AFTER_MS) return;
    const done = this.opened(address).catch(() => this.lost(address));
    this.nodes.set(address, { phase: 'opening', done });
  }

  private async opened(address: string): Promise<void> {
    const opening = this.port.open(address);
    const port = await withDeadline(this.clock, opening, OPEN_WITHIN_MS, `the node ${address}`).catch(
      (error: unknown) => {
        void opening.then((late) => late.close()).catch(() => undefined);
        throw error;
      },
    );
    const gaveUp = (): void => void watched.close();
    const watched = new WatchedPort(port, this.clock, this.options, gaveUp);
    port.onStateChange((connected) => {
      if (connected) return;
      void watched.close();
      const node = this.nodes.get(address);
      if (node?.phase === 'open' && node.port === watched) this.lost(address);
    });
    if (this.isClosed || !port.connected) {
      await watched.close();
      throw new Error('the connection was lost');
    }
    this.nodes.set(address, { phase: 'open', port: watched });
  }

  /** Another node may have taken over. */
  private lost(address: string): void {
    if (this.isClosed) return;
    this.nodes.set(address, { phase: 'failed', at: this.clock.monotonic() });
    void this.refresh().catch(() => undefined);
  }

  /** Asks which node serves which slot. Concurrent callers share one question. */
  private refresh(): Promise<void> {
    this.refreshing ??= this.askForSlots().finally(() => (this.refreshing = undefined));
    return this.refreshing;
  }

  private async askForSlots(): Promise<void> {
    const waitMs = this.refreshedAt + RETRY_AFTER_MS - this.clock.monotonic();
    if (waitMs > 0) await new Promise<void>((resolve) => void this.clock.schedule(waitMs, resolve));
    this.refreshedAt = this.clock.monotonic();
    for (const [address, node] of this.nodes) {
      if (node.phase !== 'open' || !node.port.isSound) continue;
      const ranges = await node.port.command(['CLUSTER', 'SLOTS']).catch(() => undefined);
      if (ranges !== undefined) return this.take(ranges, address);
    }
    await this.askSeed();
  }

  private async askSeed(): Promise<void> {
    const address = await this.port.seed();
    const port = await this.port.open(address);
    try {
      this.take(await port.command(['CLUSTER', 'SLOTS'], { timeoutMs: OPEN_WITHIN_MS }), address);
    } finally {
      await port.close();
    }
  }

  /** Ranges of slots, each with its master first. A node without a name of its own is the one that answered. */
  private take(ranges: unknown, asked: string): void {
    const slots: (string | undefined)[] = Array.from({ length: SLOTS });
    for (const range of listOf(ranges)) {
      const [first, last, master] = listOf(range);
      const [named, port] = listOf(master);
      const host = named === null || named === undefined ? '' : textOf(named);
      const address = `${host === '' || host === '?' ? placeOf(asked).host : host}:${numberOf(port)}`;
      slots.fill(address, numberOf(first), numberOf(last) + 1);
    }
    this.slots = slots;
    const masters = new Set(slots);
    for (const address of masters) if (address !== undefined) this.connect(address);
    for (const [address, node] of this.nodes) {
      if (masters.has(address) || node.phase === 'opening') continue;
      this.nodes.delete(address);
      if (node.phase === 'open') void node.port.close();
    }
  }
}

function redirectionOf(error: unknown): Redirection | undefined {
  const found = error instanceof Error ? /^(MOVED|ASK) \d+ (\S+)/.exec(error.message) : null;
  const [, kind, address] = found ?? [];
  if (address === undefined) return undefined;
  return { kind: kind === 'ASK' ? 'ASK' : 'MOVED', address };
}

/** CRC-16 of the XMODEM kind, byte by byte. */
const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 0x80_00) === 0 ? crc << 1 : (crc << 1) ^ 0x10_21;
  return crc;
});

/** The slot of a key in a Redis Cluster. Only what stands in its first pair of braces counts, if anything does. */
export function slotOf(key: string): number {
  const open = key.indexOf('{');
  const close = open < 0 ? -1 : key.indexOf('}', open + 1);
  const counted = close > open + 1 ? key.slice(open + 1, close) : key;
  let crc = 0;
  for (const byte of Buffer.from(counted)) crc = ((crc << 8) ^ (TABLE[((crc >>> 8) ^ byte) & 0xff] ?? 0)) & 0xff_ff;
  return crc % SLOTS;
}
