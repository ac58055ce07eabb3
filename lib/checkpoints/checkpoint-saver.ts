import { LaneCacheError } from '../errors/lane-cache.error.js';
import type { EventSink } from '../events/event-map.js';
import type { ReportFault } from '../events/reasons.js';
import { defined } from '../options/options-shape.js';
import type { SaveCheckpointOptions } from './checkpoint.js';
import {
  type CheckpointDraft,
  type CheckpointStore,
  type SaveConditions,
  type SaveOutcome,
  type TrimRule,
  compressState,
  isClosed,
} from './checkpoint-store.js';
import { toDraft, type DraftSettings } from './checkpoint-validation.js';
import type { RetentionOptions } from './retention.js';
import { asUnavailable } from './unavailable-checkpoint-store.js';

/** What the service of checkpoints works with. */
export interface CheckpointSettings extends DraftSettings, WarningSettings {
  /** Called at each use: another store takes over when the directory changes hands. */
  readonly store: () => CheckpointStore;
  readonly events: EventSink;
  readonly retention?: RetentionOptions;
  /** Called when a function of the caller has failed. */
  readonly report?: ReportFault;
}

/** A state that is ready to be saved. */
export interface PreparedSave {
  readonly draft: CheckpointDraft;
  /** The encoded state. */
  readonly bytes: Uint8Array;
}

/** Writes to the store in the order of the calls, also where a state is compressed before it is saved. */
export class CheckpointSaver {
  private readonly warnings: SaveWarnings;
  private readonly trim: TrimRule | undefined;
  /** The last compression under way. Later writes wait for it. */
  private preparing: Promise<unknown> | undefined;

  constructor(private readonly settings: CheckpointSettings) {
    this.warnings = new SaveWarnings(settings);
    const { keepVersions = 0, keepLast = 0, keepUnfinished = false } = settings.retention ?? {};
    if (keepVersions > 0) this.trim = { keepVersions: Math.max(keepVersions, keepLast), keepUnfinished };
  }

  /** Checks and encodes a state. Rejects what cannot be saved. */
  prepare(id: string, state: unknown, options: SaveCheckpointOptions): PreparedSave {
    const prepared = toDraft(this.settings, id, state, options);
    this.warnings.noteSize(id, prepared.bytes.length);
    return prepared;
  }

  async save({ draft, bytes }: PreparedSave, conditions: SaveConditions): Promise<SaveOutcome> {
    const terms = this.trim === undefined ? conditions : { ...conditions, trim: this.trim };
    const saving = this.inOrder(this.compressed(draft, bytes), (store, stored) =>
      stored === undefined
        ? store.save(draft, bytes, terms)
        : store.save({ ...draft, storedBytes: stored.length }, stored, terms),
    );
    const saved = await this.warnings.during(saving, bytes.length);
    if (saved.outcome === 'saved') this.emitSaved(draft, saved);
    return saved;
  }

  /** A write of another kind, after the saves that were called before it. */
  write<T>(call: (store: CheckpointStore) => Promise<T>): Promise<T> {
    return this.inOrder(undefined, call);
  }

  get isClosed(): boolean {
    return isClosed(this.settings.store().state);
  }

  private compressed(draft: CheckpointDraft, bytes: Uint8Array): ReturnType<typeof compressState> {
    return this.isClosed ? undefined : compressState(bytes, this.settings.compressFrom?.(draft.lane));
  }

  private async inOrder<P, T>(
    prepared: P | Promise<P>,
    call: (store: CheckpointStore, ready: P) => Promise<T>,
  ): Promise<T> {
    if (!(prepared instanceof Promise) && this.preparing === undefined) return this.send(call, prepared);
    const before = this.preparing;
    const ready = Promise.resolve(before)
      .catch(() => undefined)
      .then(() => prepared);
    this.preparing = ready;
    try {
      const value = await ready;
      return await this.send(call, value);
    } finally {
      if (this.preparing === ready) this.preparing = undefined;
    }
  }

  private send<P, T>(call: (store: CheckpointStore, ready: P) => Promise<T>, ready: P): Promise<T> {
    if (!this.isClosed) return call(this.settings.store(), ready).catch(throwUnavailable);
    throw new LaneCacheError('CLOSED', 'The app was closed: nothing can be saved or removed any more.');
  }

  private emitSaved(draft: CheckpointDraft, saved: Extract<SaveOutcome, { readonly outcome: 'saved' }>): void {
    const { events } = this.settings;
    if (!events.wants('checkpoint')) return;
    const { id, workflow, step, sizeBytes, durationMs } = draft;
    const { version } = saved.record;
    const ofWorkflow = workflow === undefined ? {} : { workflow, sizeBytes };
    events.emit('checkpoint', defined({ action: 'saved', id, version, ...ofWorkflow, step, durationMs }));
    for (const one of saved.trimmed ?? []) events.emit('checkpoint', { action: 'removed', id, version: one });
  }
}

export const throwUnavailable = (error: unknown): never => {
  throw asUnavailable(error);
};

interface WarningSettings {
  /** Sizes of states in bytes. Default 1 MB. */
  readonly warnStateBytes?: number;
  /** Called once per id whose state takes `warnStateBytes` or more, and once when saves pile up. */
  readonly warn?: (message: string) => void;
}

const DEFAULT_WARN_STATE_BYTES = 1024 ** 2;
const MAX_REMEMBERED_IDS = 1_000;
const BACKLOG_WARNING_BYTES = 64 * 1024 ** 2;

/**
 * Warns of large states, and of saves that come faster than the disk writes them. Such saves are not delayed, because
 * each state is encoded at its call, and not refused, because many workflows may save at the same moment.
 */
class SaveWarnings {
  private readonly warnedIds = new Set<string>();
  private waitingBytes = 0;
  private hasWarnedOfBacklog = false;

  constructor(private readonly settings: WarningSettings) {}

  noteSize(id: string, sizeBytes: number): void {
    const { warn, warnStateBytes = DEFAULT_WARN_STATE_BYTES } = this.settings;
    if (warn === undefined || sizeBytes < warnStateBytes || this.warnedIds.has(id)) return;
    if (this.warnedIds.size === MAX_REMEMBERED_IDS) this.warnedIds.clear();
    this.warnedIds.add(id);
    warn(
      `The state of checkpoint '${id}' takes ${sizeBytes} bytes. Each save and restore blocks the event loop while it is encoded or decoded. Save references to large data instead of the data.`,
    );
  }

  /** Settles as `saving` does. Until then `bytes` count as waiting. */
  async during<T>(saving: Promise<T>, bytes: number): Promise<T> {
    this.waitingBytes += bytes;
    if (this.waitingBytes > BACKLOG_WARNING_BYTES && this.waitingBytes > bytes) this.warnOfBacklog();
    try {
      return await saving;
    } finally {
      this.waitingBytes -= bytes;
    }
  }

  private warnOfBacklog(): void {
    if (this.hasWarnedOfBacklog) return;
    this.hasWarnedOfBacklog = true;
    this.settings.warn?.(
      `Checkpoints of ${this.waitingBytes} bytes wait in memory because the disk is slower than the saves. Await each save before the next one.`,
    );
  }
}
