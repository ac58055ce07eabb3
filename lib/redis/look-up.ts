import type { TierLookup } from '../tiers/tier.js';
import type { Heard } from './shared-log/applied-records.js';
import { OwnRecord } from './own-record.js';
import type { Packing } from './packing.js';
import type { ServerEntry, Wanted } from './read-batch.js';
import type { ServerTime } from './shared-log/freshness.js';
import { anyNames, type Unsaid, type Utterance } from './shared-log/publisher.js';

/** What a look-up needs to judge what it finds. */
export interface LookUpParts {
  readonly heard: Heard;
  readonly serverTime: ServerTime;
  readonly log: { readonly unsaid: Unsaid };
  readonly packing: Packing;
  /** The position of this process's log. */
  readonly position: () => number;
  /** A command was not answered, or not as it should be. */
  readonly failed: (lane: string, error: unknown) => void;
}

export interface Asked {
  readonly lane: string;
  readonly key: string;
}

const MISS: TierLookup = Object.freeze({ outcome: 'miss' });
export const CUT_OFF: TierLookup = Object.freeze({ outcome: 'off', reason: 'disconnected' });

/** One look-up on its way. */
export class LookUp implements Wanted {
  readonly lane: string;
  readonly key: string;
  /**
   * What is found is good as of now, so it is born where this process is now; what was said here and has not come round
   * has not been judged.
   */
  private readonly birth: number;
  private readonly unheard: readonly Utterance[];

  constructor(
    private readonly options: LookUpParts,
    { lane, key }: Asked,
    private readonly settle: (lookup: TierLookup) => void,
  ) {
    this.lane = lane;
    this.key = key;
    this.birth = options.position();
    this.unheard = options.log.unsaid.unheard;
  }

  found(entry: ServerEntry | undefined): void {
    if (entry === undefined) return this.settle(MISS);
    const record = this.open(entry);
    if (!(record instanceof Promise)) return this.judge(entry, record);
    record.then((opened) => this.judge(entry, opened)).catch((error: unknown) => this.failed(error));
  }

  failed(error: unknown): void {
    this.options.failed(this.lane, error);
    this.settle(CUT_OFF);
  }

  /** Undefined if it is not ours. */
  private open({ goneAt, record: sealed }: ServerEntry): OwnRecord | undefined | Promise<OwnRecord> {
    const { serverTime, packing } = this.options;
    const endsAt = serverTime.whenShows(goneAt);
    const record = packing.unpack(this.lane, sealed);
    if (record instanceof Promise) return record.then((opened) => new OwnRecord(opened, this.birth, endsAt));
    return record && new OwnRecord(record, this.birth, endsAt);
  }

  private judge(entry: ServerEntry, record: OwnRecord | undefined): void {
    const { lane, key } = this;
    if (record?.key !== key) return this.settle(MISS);
    const named = { lane, key, tags: record.tags };
    const isNamed = this.options.heard.names(named, entry.birth) || anyNames(this.unheard, named);
    this.settle(isNamed ? MISS : { outcome: 'hit', record: record.found });
  }
}
