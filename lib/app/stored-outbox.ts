import { INVALIDATION_KINDS } from '../events/reasons.js';
import type { Outbox, SharedRecord } from '../invalidation/shared-log.js';
import { PendingInvalidations } from '../storage/directory/pending-invalidations.js';

/** The records of the shared log that could not be published yet, in the directory of an app. */
export class StoredOutbox implements Outbox {
  readonly found: ReadonlyMap<string, SharedRecord>;

  static async open(root: string): Promise<StoredOutbox> {
    return new StoredOutbox(await PendingInvalidations.open(root));
  }

  private constructor(private readonly files: PendingInvalidations) {
    this.found = new Map([...files.found].map(([id, text]) => [id, parseRecord(text)]));
  }

  keep(records: ReadonlyMap<string, SharedRecord>): Promise<void> {
    return this.files.keep(new Map([...records].map(([id, record]) => [id, stringifyRecord(record)])));
  }

  forget(ids: readonly string[]): void {
    this.files.forget(ids);
  }
}

/** As JSON, which keeps lone surrogates that UTF-8 would lose. */
const stringifyRecord = ({ kind, lane, subject }: SharedRecord): string => JSON.stringify([kind, lane, subject]);

/** A text that cannot be parsed may have named anything, so it stands for everything. */
function parseRecord(text: string): SharedRecord {
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
