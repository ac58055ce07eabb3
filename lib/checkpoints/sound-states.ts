import { nextTurn } from '../clock/turn.js';
import { CheckpointDamagedError } from '../errors/checkpoint.errors.js';
import type { EventSink } from '../events/event-map.js';
import { hasExpired } from './checkpoint-rows.js';
import type { CheckpointRecord, CheckpointStore, ReadOutcome, VersionSelector } from './checkpoint-store.js';
import { checksumOf } from './state-codec.js';

/** A version whose state is what was saved. */
export interface SoundState {
  readonly record: CheckpointRecord;
  readonly state: Uint8Array;
}

export interface StateWish {
  readonly selector: VersionSelector;
  readonly now: number;
  /** Milliseconds. */
  readonly maxAge: number | undefined;
  readonly onDamage: 'refuse' | 'fall-back';
}

/** Gives out states that match their checksums, and nothing else. */
export class SoundStates {
  constructor(
    private readonly store: CheckpointStore,
    private readonly events: EventSink,
  ) {}

  /** Rejects with `CheckpointDamagedError` unless told to fall back. */
  async find(id: string, wish: StateWish): Promise<SoundState | undefined> {
    const read = await this.store.read(id, wish.selector);
    if (read.outcome === 'absent') return undefined;
    const version = read.outcome === 'found' ? read.record.version : read.version;
    if (read.outcome === 'found') {
      if (!isWanted(read.record, wish)) return undefined;
      if (isSound(read)) return read;
    }
    await this.report(id, version);
    if (wish.onDamage === 'fall-back') return this.newestBefore(id, version, wish);
    throw new CheckpointDamagedError(id, version, await this.soundVersions(id, wish.now));
  }

  private async newestBefore(id: string, version: number, wish: StateWish): Promise<SoundState | undefined> {
    for await (const sound of this.soundStates(id, wish.now, version)) {
      return isWanted(sound.record, wish) ? sound : undefined;
    }
    return undefined;
  }

  private async soundVersions(id: string, now: number): Promise<readonly number[]> {
    const versions: number[] = [];
    for await (const { record } of this.soundStates(id, now, Infinity)) versions.push(record.version);
    return versions;
  }

  /** Newest first; one in memory at a time. */
  private async *soundStates(id: string, now: number, before: number): AsyncGenerator<SoundState, void, undefined> {
    for (const version of await this.store.versions(id)) {
      if (version >= before) continue;
      const read = await this.store.read(id, { version });
      if (read.outcome === 'found' && !hasExpired(read.record, now) && isSound(read)) yield read;
      await nextTurn();
    }
  }

  private async report(id: string, version: number): Promise<void> {
    this.events.emit('checkpoint', { action: 'damaged', id, version });
    // the mark only serves the counts: where it cannot be written the damage is told all the same
    await this.store.mark(id, 'damaged', version).catch(() => false);
  }
}

const isWanted = (record: CheckpointRecord, { now, maxAge }: StateWish): boolean =>
  !hasExpired(record, now) && (maxAge === undefined || now - record.savedAt <= maxAge);

const isSound = (read: Extract<ReadOutcome, { readonly outcome: 'found' }>): boolean =>
  checksumOf(read.state) === read.record.checksum;
