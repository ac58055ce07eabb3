import type { Clock } from '../clock/clock.js';

interface OfferQueueOptions {
  readonly clock: Clock;
  /** The connection to the owner, if there is one now. */
  readonly line: () => { sendEntryFrame(frame: Buffer): void } | undefined;
  /** The frame that asks for an answer once everything before it is stored. */
  readonly syncFrame: (id: number) => Buffer;
}

const MAX_BYTES = 32 * 1024 * 1024;
/** With more of them, a bulk write waits. The rest is for what comes while an owner on a busy machine pauses. */
const MANY_BYTES = 4 * 1024 * 1024;
/** With more of them, it waits even for an owner that is silent: the next ones would be refused. */
const CROWDED_BYTES = 16 * 1024 * 1024;
/** The owner is asked as often as that, so that it says how it gets on. */
const SYNC_BYTES = 512 * 1024;
const SYNC_AFTER_MS = 100;

/**
 * What a process offers to the owner of L3. Each frame is kept until the owner has stored it, so that the next owner gets
 * what the one before had not stored when it ended. Getting one twice does no harm.
 */
export class OfferQueue {
  private frames: Buffer[] = [];
  private bytes = 0;
  /** Bytes of frames that are about to be added. */
  private expected = 0;
  /** Bytes that were added since the owner was asked last. */
  private unasked = 0;
  /** How many frames were stored before the first of `frames`. */
  private stored = 0;
  /** Questions without an answer: up to which frame they ask. */
  private readonly syncs = new Map<number, number>();
  private ids = 0;
  private isSyncDue = false;
  private waiting: { readonly upTo: number; readonly settle: () => void }[] = [];
  /** Those who wait until something is stored, or the owner ends. */
  private awaiting: (() => void)[] = [];

  constructor(private readonly options: OfferQueueOptions) {}

  /** Too much is waiting already. */
  get isFull(): boolean {
    return this.bytes + this.expected > MAX_BYTES;
  }

  /** Much is waiting. */
  get isBusy(): boolean {
    return this.bytes + this.expected > MANY_BYTES;
  }

  /** So much is waiting that there is soon no room. */
  get isCrowded(): boolean {
    return this.bytes + this.expected > CROWDED_BYTES;
  }

  /** Counts bytes of a frame that is added later. Returns the function that counts them no longer. */
  expect(bytes: number): () => void {
    this.expected += bytes;
    return () => (this.expected -= bytes);
  }

  add(frame: Buffer): void {
    this.frames.push(frame);
    this.bytes += frame.length;
    this.unasked += frame.length;
    this.options.line()?.sendEntryFrame(frame);
    if (this.unasked >= SYNC_BYTES) this.sync();
    if (this.isSyncDue) return;
    this.isSyncDue = true;
    this.options.clock.schedule(SYNC_AFTER_MS, () => {
      this.isSyncDue = false;
      if (this.syncs.size === 0) this.sync();
    });
  }

  /** There is another connection, or none. */
  reconnected(): void {
    this.syncs.clear();
    for (const frame of this.frames) this.options.line()?.sendEntryFrame(frame);
    this.sync();
  }

  /** The owner has answered. */
  synced(id: number): void {
    const upTo = this.syncs.get(id);
    if (upTo === undefined) return;
    this.syncs.delete(id);
    for (const frame of this.frames.splice(0, upTo - this.stored)) this.bytes -= frame.length;
    this.stored = Math.max(this.stored, upTo);
    this.settle();
    if (this.syncs.size === 0 && !this.isSyncDue) this.sync();
  }

  /** Ends the waits for progress. */
  wake(): void {
    for (const resolve of this.awaiting.splice(0)) resolve();
  }

  /** Resolves when some of what was added is stored or given up, or when the owner ends. */
  progress(): Promise<void> {
    return new Promise((resolve) => this.awaiting.push(resolve));
  }

  /** Resolves when everything that was added is stored. */
  whenStored(): Promise<void> {
    if (this.frames.length === 0) return Promise.resolve();
    const upTo = this.stored + this.frames.length;
    this.sync();
    return new Promise((settle) => this.waiting.push({ upTo, settle }));
  }

  /** Gives up what is not known to be stored, and returns it. */
  take(): readonly Buffer[] {
    const { frames } = this;
    this.stored += frames.length;
    this.frames = [];
    this.bytes = 0;
    this.settle();
    return frames;
  }

  private settle(): void {
    const { waiting, stored } = this;
    this.waiting = waiting.filter(({ upTo }) => upTo > stored);
    for (const { upTo, settle } of waiting) if (upTo <= stored) settle();
    this.wake();
  }

  private sync(): void {
    const line = this.options.line();
    if (line === undefined || this.frames.length === 0) return;
    const id = ++this.ids;
    this.unasked = 0;
    this.syncs.set(id, this.stored + this.frames.length);
    line.sendEntryFrame(this.options.syncFrame(id));
  }
}
