import { INVALIDATION_KINDS } from './events/reasons.js';
import type { Outbox, SharedRecord } from './invalidation/shared-log.js';
import { OutboxFiles } from './storage/outbox-files.js';

/** What of the shared log could not be said yet, in the directory of an app. */
export class StoredOutbox implements Outbox {
  readonly found: ReadonlyMap<string, SharedRecord>;

  static async open(root: string): Promise<StoredOutbox> {
    return new StoredOutbox(await OutboxFiles.open(root));
  }

  private constructor(private readonly files: OutboxFiles) {
    this.found = new Map([...files.found].map(([id, text]) => [id, recordIn(text)]));
  }

  keep(records: ReadonlyMap<string, SharedRecord>): Promise<void> {
    return this.files.keep(new Map([...records].map(([id, record]) => [id, textOf(record)])));
  }

  forget(ids: readonly string[]): void {
    this.files.forget(ids);
  }
}

/** As JSON, which keeps lone surrogates that UTF-8 would lose. */
const textOf = ({ kind, lane, subject }: SharedRecord): string => JSON.stringify([kind, lane, subject]);

/** What cannot be understood may have named anything. */
function recordIn(text: string): SharedRecord {
  const everything = { kind: 'all', lane: null, subject: '*' } as const;
  try {
    const [kind, lane, subject]: readonly unknown[] = JSON.parse(text);
    const known = INVALIDATION_KINDS.find((one) => one === kind);
    if (known === undefined || typeof subject !== 'string') return everything;
    return lane === null || typeof lane === 'string' ? { kind: known, lane, subject } : everything;
  } catch {
    return everything;
  }
}
