import type { LogFile, LogFolder } from '../../lib/storage/files/log-files.js';
import type { Jobs } from './jobs.js';

/** A file, whatever name it has or had. */
interface Content {
  bytes: Buffer;
  /** So many bytes survive a power cut. */
  synced: number;
  /** Its name does so too. */
  isNamed: boolean;
}

interface Append {
  readonly content: Content;
  readonly bytes: Buffer;
}

/** The folder of a log, as several processes see it at once. What they append and sync happens when a test says so. */
export class ModelLogDisk {
  readonly files = new Map<string, Content>();
  /** `full`: it takes nothing. `refusing`: it takes new files only. */
  state: 'sound' | 'full' | 'refusing' = 'sound';

  /** Its end of the folder for one process. */
  folderOf(jobs: Jobs): ModelLogFolder {
    return new ModelLogFolder(this, jobs);
  }

  /** Every process is gone: what was not synced may be lost. */
  cutPower(unsynced: 'kept' | 'lost'): void {
    for (const [name, content] of this.files) {
      if (!content.isNamed) this.files.delete(name);
      else if (unsynced === 'lost') content.bytes = content.bytes.subarray(0, content.synced);
      content.synced = content.bytes.length;
    }
  }

  /** As another program, or a disk, leaves it. */
  spoil(bytes: Buffer): void {
    const newest = [...this.files.values()].at(-1);
    if (newest !== undefined) newest.bytes = Buffer.concat([newest.bytes, bytes]);
  }
}

export class ModelLogFolder implements LogFolder {
  readonly directory = 'log';
  private readonly appends: Append[] = [];

  constructor(
    private readonly disk: ModelLogDisk,
    private readonly jobs: Jobs,
  ) {}

  prepare(): Promise<void> {
    return Promise.resolve();
  }

  names(): readonly string[] {
    return [...this.disk.files.keys()];
  }

  has(name: string): boolean {
    return this.disk.files.has(name);
  }

  open(name: string): LogFile {
    const content = this.disk.files.get(name);
    if (content === undefined) throw new Error(`there is no ${name}`);
    return this.handleOf(name, content);
  }

  create(name: string, bytes: Buffer): void {
    if (this.has(name)) return;
    if (this.disk.state === 'full') throw new Error('the disk is full');
    this.disk.files.set(name, { bytes: Buffer.from(bytes), synced: bytes.length, isNamed: false });
  }

  empty(name: string): void {
    const content = this.disk.files.get(name);
    if (content === undefined) throw new Error(`there is no ${name}`);
    content.bytes = Buffer.alloc(0);
    content.synced = 0;
  }

  remove(name: string): void {
    this.disk.files.delete(name);
  }

  sync(): void {
    for (const content of this.disk.files.values()) content.isNamed = true;
  }

  /** The process is killed in the middle of an append. */
  tear(): void {
    const [torn] = this.appends;
    if (torn === undefined) return;
    const half = torn.bytes.subarray(0, Math.ceil(torn.bytes.length / 2));
    torn.content.bytes = Buffer.concat([torn.content.bytes, half]);
  }

  private handleOf(name: string, content: Content): LogFile {
    const { disk, jobs, appends } = this;
    const syncNow = (): void => {
      content.synced = content.bytes.length;
    };
    return {
      get size() {
        return content.bytes.length;
      },
      read: (into, length, from) => {
        const { bytes } = content;
        return from >= bytes.length ? 0 : bytes.copy(into, 0, from, Math.min(from + length, bytes.length));
      },
      append: (bytes) => {
        const append = { content, bytes };
        appends.push(append);
        return new Promise((resolve, reject) =>
          jobs.add(this, () => {
            appends.splice(appends.indexOf(append), 1);
            if (disk.state !== 'sound') return reject(new Error('the disk is full'));
            content.bytes = Buffer.concat([content.bytes, bytes]);
            // Others may append before this process learns of it.
            jobs.add(this, () => resolve(bytes.length));
          }),
        );
      },
      sync: () =>
        new Promise((resolve) =>
          jobs.add(this, () => {
            syncNow();
            resolve();
          }),
        ),
      syncNow,
      get isInPlace() {
        return disk.files.get(name) === content;
      },
      cut: () => {
        content.bytes = Buffer.alloc(0);
        content.synced = 0;
      },
      close: () => undefined,
    };
  }
}
