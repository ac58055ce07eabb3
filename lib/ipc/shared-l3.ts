import type { RecordReader } from '../entries/record.js';
import type { ResolvedLane } from '../lanes/policy.js';
import {
  type Offered,
  removeKeysFrom,
  type Tier,
  type TierLookup,
  type TierRecord,
  type TierRow,
  type TierState,
  type TierUsage,
} from '../tiers/tier.js';
import { IN_USE, type RemoteL3 } from './remote-l3.js';

interface Question {
  readonly lane: string;
  readonly key: string;
  readonly how: 'read' | 'peek';
  /** The value is wanted, and no bytes. */
  readonly reader?: RecordReader;
  readonly patienceMs?: number | undefined;
}

/** L3 of a process that uses a directory: its own while it owns the directory, the owner's otherwise. */
export class SharedL3 implements Tier {
  readonly name = 'l3';
  /** The owner's. It serves until this process's own has seen what was invalidated. */
  remote: RemoteL3 | undefined;

  constructor(private readonly own: Tier & { readonly isFollowed: boolean }) {}

  get state(): TierState {
    return this.current.state;
  }

  read(lane: string, key: string, patienceMs?: number): TierLookup | Promise<TierLookup> {
    return this.usesOwn ? this.own.read(lane, key) : this.look({ lane, key, how: 'read', patienceMs });
  }

  readValue(lane: string, key: string, reader: RecordReader, patienceMs?: number): TierLookup | Promise<TierLookup> {
    if (!this.usesOwn) return this.look({ lane, key, how: 'read', reader, patienceMs });
    const { own } = this;
    return own.readValue === undefined ? own.read(lane, key) : own.readValue(lane, key, reader);
  }

  peek(lane: string, key: string): TierLookup | Promise<TierLookup> {
    return this.usesOwn ? answerOf(this.own, { lane, key, how: 'peek' }) : this.look({ lane, key, how: 'peek' });
  }

  offer(lane: string, record: TierRecord): Offered {
    return this.current.offer?.(lane, record) ?? 'off';
  }

  write(lane: string, record: TierRecord): void | Promise<void> {
    return this.current.write(lane, record);
  }

  whenRoom(): Promise<void> | undefined {
    return this.current.whenRoom?.();
  }

  remove(lane: string, key: string): boolean | Promise<boolean> {
    return this.current.remove(lane, key);
  }

  removeKeys(lane: string, keys: readonly string[]): Promise<number> {
    return removeKeysFrom(this.current, lane, keys);
  }

  removeMatching(lane: string, matches: (key: string, tags: readonly string[]) => boolean): Promise<number> {
    return this.current.removeMatching(lane, matches);
  }

  clear(lane: string): Promise<void> {
    return this.current.clear(lane);
  }

  usage(lane: string): TierUsage {
    return this.current.usage(lane);
  }

  supersede(lane: string, key: string): void {
    this.current.supersede?.(lane, key);
  }

  rows(lane: string, before: number, limit: number): readonly TierRow[] | undefined {
    return this.current.rows?.(lane, before, limit);
  }

  keys(lane: string): AsyncIterable<string> {
    return this.current.keys(lane);
  }

  addLane(lane: string, rules: ResolvedLane): void {
    this.own.addLane?.(lane, rules);
    this.remote?.addLane(lane, rules);
  }

  sweep(lane: string): Promise<{ readonly expired: number; readonly evicted: number }> {
    return this.current.sweep(lane);
  }

  flush(): Promise<void> {
    return this.current.flush();
  }

  close(): Promise<void> {
    return this.own.close();
  }

  /** Between two owners it waits for a moment: what the first one had is there again soon. */
  private async look(question: Question): Promise<TierLookup> {
    const found = await answerOf(this.current, question);
    const succession = found === IN_USE ? this.remote?.succession(question.patienceMs ?? Infinity) : undefined;
    if (succession === undefined) return found;
    await succession;
    return answerOf(this.current, question);
  }

  private get current(): Tier {
    return this.own.isFollowed ? this.own : (this.remote ?? this.own);
  }

  /** Whether L3 is used as this process has it, which is nothing as long as it has not opened it. */
  private get usesOwn(): boolean {
    return this.own.isFollowed || this.remote === undefined;
  }
}

const answerOf = (tier: Tier, { lane, key, how, reader }: Question): TierLookup | Promise<TierLookup> =>
  (how === 'peek' ? tier.peek?.(lane, key) : reader && tier.readValue?.(lane, key, reader)) ?? tier.read(lane, key);
