import { nextTurn } from '../clock/clock.js';
import type { ValueCodec } from '../entries/codec/value-codec.js';
import { CheckpointDamagedError } from '../errors/checkpoint.errors.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import type { EventSink } from '../events/event-map.js';
import {
  type CheckpointRecord,
  type CheckpointStore,
  type ReadOutcome,
  type VersionSelector,
  expandState,
} from './checkpoint-store.js';
import { checksumOf } from './checkpoint-validation.js';
import { hasExpired } from './retention.js';

/** A version whose state matches its checksum. */
export interface ValidVersion {
  readonly record: CheckpointRecord;
  readonly state: Uint8Array;
}

export interface RestoreQuery {
  readonly selector: VersionSelector;
  readonly now: number;
  /** Milliseconds. */
  readonly maxAge: number | undefined;
  readonly onDamage: 'refuse' | 'fall-back';
}

/** Finds the version to restore. A state that does not match its checksum is never returned. */
export class RestoreSearch {
  constructor(
    private readonly store: CheckpointStore,
    private readonly events: EventSink,
  ) {}

  /** Rejects with `CheckpointDamagedError` if the version is damaged and the query does not fall back. */
  async find(id: string, query: RestoreQuery): Promise<ValidVersion | undefined> {
    const read = await this.store.read(id, query.selector);
    if (read.outcome === 'absent') return undefined;
    const version = read.outcome === 'found' ? read.record.version : read.version;
    if (read.outcome === 'found') {
      if (!isWanted(read.record, query)) return undefined;
      const valid = await validOf(read);
      if (valid !== undefined) return valid;
    }
    await this.report(id, version);
    if (query.onDamage === 'fall-back') return this.newestBefore(id, version, query);
    throw new CheckpointDamagedError(id, version, await this.validVersions(id, query.now));
  }

  private async report(id: string, version: number): Promise<void> {
    this.events.emit('checkpoint', { action: 'damaged', id, version });
    // The mark is for the counts only. The damage is reported also where the mark cannot be written.
    await this.store.mark(id, 'damaged', version).catch(() => false);
  }

  private async newestBefore(id: string, version: number, query: RestoreQuery): Promise<ValidVersion | undefined> {
    for await (const valid of this.validStates(id, query.now, version)) {
      return isWanted(valid.record, query) ? valid : undefined;
    }
    return undefined;
  }

  private async validVersions(id: string, now: number): Promise<readonly number[]> {
    const versions: number[] = [];
    for await (const { record } of this.validStates(id, now, Infinity)) versions.push(record.version);
    return versions;
  }

  /** Newest first. One state is in memory at a time. */
  private async *validStates(id: string, now: number, before: number): AsyncGenerator<ValidVersion, void, undefined> {
    for (const version of await this.store.versions(id)) {
      if (version >= before) continue;
      const read = await this.store.read(id, { version });
      const valid = read.outcome === 'found' && !hasExpired(read.record, now) ? await validOf(read) : undefined;
      if (valid !== undefined) yield valid;
      await nextTurn();
    }
  }
}

const isWanted = (record: CheckpointRecord, { now, maxAge }: RestoreQuery): boolean =>
  !hasExpired(record, now) && (maxAge === undefined || now - record.savedAt <= maxAge);

/** The state as it was encoded. Undefined if it is not what was saved. */
async function validOf({
  record,
  state: stored,
}: Extract<ReadOutcome, { readonly outcome: 'found' }>): Promise<ValidVersion | undefined> {
  const state = record.storedBytes === undefined ? stored : await expandState(record, stored);
  return state !== undefined && checksumOf(state) === record.checksum ? { record, state } : undefined;
}

/** Rejects with `CHECKPOINT_INVALID` if the state is intact but this app cannot rebuild it. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- declared by the caller of a restore
export function decodeState<T>(codec: ValueCodec, { record: { id, version }, state }: ValidVersion): T {
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the caller knows the type of what it saved
    return codec.decode(state) as T;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'it cannot be decoded.';
    throw new LaneCacheError(
      'CHECKPOINT_INVALID',
      `Version ${version} of checkpoint '${id}' is intact, but this app cannot rebuild its state: ${why} List the class under 'types' as it was when the state was saved, or give it a 'migrate'.`,
      { key: id, field: 'state', cause },
    );
  }
}
