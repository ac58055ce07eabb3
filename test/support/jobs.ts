/** Work that is under way somewhere outside and comes in when a test says so, in the order the test says. */
export class Jobs {
  private waiting: { readonly owner: object; readonly run: () => void }[] = [];

  get size(): number {
    return this.waiting.length;
  }

  add(owner: object, run: () => void): void {
    this.waiting.push({ owner, run });
  }

  /** Runs the `n`-th of those waiting, counted round; nothing if there is none. */
  run(n: number): void {
    const job = this.waiting[n % Math.max(1, this.waiting.length)];
    if (job === undefined) return;
    this.waiting = this.waiting.filter((other) => other !== job);
    job.run();
  }

  /** What waited is gone. */
  forget(owner: object): void {
    this.waiting = this.waiting.filter((job) => job.owner !== owner);
  }
}
