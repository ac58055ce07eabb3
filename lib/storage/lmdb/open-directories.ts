/**
 * The directories in which LMDB is open, or may not have been closed. No one may open them, in this process or another: two
 * at once lose what they commit.
 */
export class OpenDirectories {
  private readonly paths = new Set<string>();
  private waiting: (() => void)[] = [];

  has(path: string): boolean {
    return this.paths.has(path);
  }

  add(path: string): void {
    this.paths.add(path);
  }

  /** The directory was closed, or moved to where it is never opened. */
  delete(path: string): void {
    this.paths.delete(path);
    if (this.paths.size > 0) return;
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  /** Resolves when there is none; never, if LMDB hangs. */
  none(): Promise<void> {
    if (this.paths.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  get isEmpty(): boolean {
    return this.paths.size === 0;
  }
}
