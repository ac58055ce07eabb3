import type { Outbox } from '../invalidation/shared-log.js';
import { names, type Named } from './subject.js';
import { Utterance } from './utterance.js';

/** Beyond, what is unsaid becomes one record about everything. */
const AT_MOST = 10_000;

/**
 * What was said here and has not come round: waiting for the server, on its way to it, or on its way back. Whatever it
 * names is not taken from the server meanwhile.
 */
export class Unsaid {
  private readonly waiting = new Set<Utterance>();
  private readonly comingRound = new Set<Utterance>();
  private snapshot: readonly Utterance[] | undefined;

  constructor(private readonly outbox: () => Outbox | undefined) {}

  get all(): readonly Utterance[] {
    return [...this.waiting];
  }

  /** Also what the server has and has not come round yet. As of now; it does not change afterwards. */
  get unheard(): readonly Utterance[] {
    this.snapshot ??= [...this.waiting, ...this.comingRound];
    return this.snapshot;
  }

  has(utterance: Utterance): boolean {
    return this.waiting.has(utterance);
  }

  add(utterances: readonly Utterance[]): void {
    for (const utterance of utterances) this.waiting.add(utterance);
    this.snapshot = undefined;
    if (this.waiting.size > AT_MOST) this.condense();
  }

  /** The server has it. */
  acknowledged(utterance: Utterance): void {
    this.waiting.delete(utterance);
    this.comingRound.add(utterance);
    if (utterance.isKept) this.outbox()?.forget([utterance.id]);
  }

  /** It was followed. */
  cameRound(utterance: Utterance): void {
    this.comingRound.delete(utterance);
    this.snapshot = undefined;
  }

  /** Resolves when a later process would say them. Rejects where there is nowhere to keep them. */
  async keep(utterances: readonly Utterance[]): Promise<void> {
    const outbox = this.outbox();
    if (outbox === undefined) throw new Error('this process owns no directory to keep it in');
    const waiting = utterances.filter((utterance) => this.waiting.has(utterance));
    for (const utterance of waiting) utterance.isKept = true;
    await outbox.keep(new Map(waiting.map(({ id, record }) => [id, record])));
  }

  private condense(): void {
    const dropped = this.all;
    const newest = dropped.at(-1);
    if (newest === undefined) return;
    const everything = { kind: 'all', lane: null, subject: '*' } as const;
    const one = new Utterance(`${newest.id}-all`, newest.by, everything, newest.position);
    one.isKept = dropped.some((utterance) => utterance.isKept);
    this.waiting.clear();
    this.add([one]);
    void settleWith(one, dropped);
    if (!one.isKept) return;
    const outbox = this.outbox();
    const forget = (): void => outbox?.forget(dropped.map(({ id }) => id));
    outbox?.keep(new Map([[one.id, everything]])).then(forget, () => undefined);
  }
}

async function settleWith(one: Utterance, dropped: readonly Utterance[]): Promise<void> {
  const held = await one.said;
  for (const utterance of dropped) utterance.settle(held);
}

/** Whether one of these names the entry. */
export function anyNames(utterances: readonly Utterance[], entry: Named): boolean {
  return utterances.some(({ record }) => names(record, entry));
}
