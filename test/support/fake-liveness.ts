import type { Liveness } from '../../lib/storage/directory/owner-lock.js';

/** Holders within one test; `end` is what a killed process does. */
export class FakeLiveness implements Liveness {
  private readonly held = new Set<string>();

  hold(path: string): Promise<() => Promise<void>> {
    this.held.add(path);
    return Promise.resolve(() => {
      this.held.delete(path);
      return Promise.resolve();
    });
  }

  isHeld(path: string): Promise<boolean> {
    return Promise.resolve(this.held.has(path));
  }

  /** Everybody dies at once, leaving their files. */
  end(): void {
    this.held.clear();
  }
}
