import {
  StorageFault,
  type Durability,
  type Environment,
  type Transaction,
  type StorageReporter,
} from '../../lib/storage/environment.js';
import { MemoryTable } from '../../lib/testing/memory-environment.js';
import type { EnvironmentSource } from '../../lib/tiers/store-supervisor.js';

/** What a folder would hold. Outlives the environments opened over it. */
export class MemoryFolder {
  readonly tables = new Map<string, MemoryTable>();
}

/** An environment in memory, whose commits fail, or wait, when a test says so. */
export class MemoryEnvironment implements Environment {
  readonly directory = 'memory';
  readonly commits: number[] = [];
  isOpen = true;
  /** While set, every commit rejects with it. */
  fault: StorageFault | undefined;
  /** While set, every commit waits for it. */
  gate: Promise<void> | undefined;

  constructor(
    readonly folder: MemoryFolder = new MemoryFolder(),
    readonly durability: Durability = 'session',
  ) {}

  table(name: string): MemoryTable {
    let table = this.folder.tables.get(name);
    if (table === undefined) this.folder.tables.set(name, (table = new MemoryTable(name)));
    return table;
  }

  async commit(fill: (transaction: Transaction) => void): Promise<void> {
    const changes: (() => void)[] = [];
    fill({
      put: ({ name }, key, value) => void changes.push(() => this.table(name).put(key, value)),
      remove: ({ name }, key) => void changes.push(() => this.table(name).delete(key)),
    });
    await this.gate;
    if (this.fault !== undefined) throw this.fault;
    if (!this.isOpen) throw new StorageFault('closed', 'closed');
    for (const change of changes) change();
    this.commits.push(changes.length);
  }

  fileBytes(): number {
    return 0;
  }

  freeBytes(): number {
    return 0;
  }

  compact(): Promise<void> {
    return Promise.resolve();
  }

  checkReaders(): void {
    // has no readers
  }

  close(): Promise<void> {
    this.isOpen = false;
    return Promise.resolve();
  }
}

/** Opens one folder again and again, until it is discarded. */
export class MemorySource implements EnvironmentSource {
  folder = new MemoryFolder();
  /** The one opened last. */
  environment = new MemoryEnvironment(this.folder);
  report: StorageReporter | undefined;
  opened = 0;
  discarded = 0;
  openFault: Error | undefined;
  discardFault: Error | undefined;

  open(report: StorageReporter): Promise<Environment> {
    if (this.openFault !== undefined) return Promise.reject(this.openFault);
    this.opened++;
    this.report = report;
    this.environment = new MemoryEnvironment(this.folder, 'durable');
    return Promise.resolve(this.environment);
  }

  discard(): Promise<void> {
    if (this.discardFault !== undefined) return Promise.reject(this.discardFault);
    this.discarded++;
    this.folder = new MemoryFolder();
    return Promise.resolve();
  }
}
