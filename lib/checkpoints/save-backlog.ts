const WARNED_FROM_BYTES = 64 * 1024 ** 2;

/**
 * Notices when states are saved faster than the disk takes them. They are not held back, as a state is taken as it is
 * at the call, and not refused, as many workflows may save at the same moment.
 */
export class SaveBacklog {
  private waitingBytes = 0;
  private isTold = false;

  constructor(private readonly warn: ((message: string) => void) | undefined) {}

  /** Counts `bytes` as waiting until `saving` has settled, and gives what it gives. */
  async hold<T>(bytes: number, saving: Promise<T>): Promise<T> {
    this.waitingBytes += bytes;
    if (this.waitingBytes > WARNED_FROM_BYTES && this.waitingBytes > bytes) this.warnOnce();
    try {
      return await saving;
    } finally {
      this.waitingBytes -= bytes;
    }
  }

  private warnOnce(): void {
    if (this.isTold) return;
    this.isTold = true;
    this.warn?.(
      `Checkpoints of ${this.waitingBytes} bytes wait in memory to be written: the disk is slower than the saves. Await each save before the next one.`,
    );
  }
}
