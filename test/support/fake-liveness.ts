import type { Liveness } from '../../lib/storage/directory/owner-lock.js';

/** Holders within one test; `end` is what a killed process does. */
export class FakeLiveness implements Liveness {
  private readonly held = new Set<string>();
  private readonly observers = new Set<{ readonly path: string; readonly ended: () => void }>();

  hold(path: string): Promise<() => Promise<void>> {
    this.held.add(path);
    return Promise.resolve(() => {
      this.held.delete(path);
      this.report();
      return Promise.resolve();
    });
  }

  whenEnded(path: string, ended: () => void): () => void {
    const observer = { path, ended };
    this.observers.add(observer);
    return () => this.observers.delete(observer);
  }

  isHeld(path: string): Promise<boolean> {
    return Promise.resolve(this.held.has(path));
  }

  /** Everybody dies at once, leaving their files. */
  end(): void {
    this.held.clear();
    this.report();
  }

  private report(): void {
    for (const observer of this.observers) {
      if (!this.held.has(observer.path) && this.observers.delete(observer)) observer.ended();
    }
  }
}
