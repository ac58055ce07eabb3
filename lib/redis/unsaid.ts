import type { LogJournal } from '../invalidation/journal.js';
import { names, type Named } from './subject.js';
import { Utterance } from './utterance.js';

/** Beyond, what is unsaid becomes one record about everything. */
const AT_MOST = 10_000;

/**
 * What was said here and has not come round: waiting for the server, on its way to it, or on its way back. Whatever it
 * names is not taken from the server meanwhile.
 */
export class Unsaid {
  private whenKeptAgain: (() => void)[] = [];
  private readonly waiting = new Set<Utterance>();
  private readonly comingRound = new Set<Utterance>();
  private snapshot: readonly Utterance[] | undefined;

  constructor(private readonly journal: () => LogJournal | undefined) {}

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
    if (!utterance.isKept) return;
    // said twice at worst
    this.journal()
      ?.append([{ row: 'said', id: utterance.id }])
      .catch(() => undefined);
  }

  /** It was followed. */
  cameRound(utterance: Utterance): void {
    this.comingRound.delete(utterance);
    this.snapshot = undefined;
  }

  /** Resolves when a later process would say them. Rejects without a persistent tier. */
  async keep(utterances: readonly Utterance[]): Promise<void> {
    const journal = this.journal();
    if (journal === undefined) throw new Error('there is no persistent tier to keep it in');
    const waiting = utterances.filter((utterance) => this.waiting.has(utterance));
    for (const utterance of waiting) utterance.isKept = true;
    await journal.append(
      waiting.map(({ id, record, position }) => ({ row: 'unsaid', id, record: { ...record, position } })),
    );
  }

  /** The persistent tier was emptied: what it kept is put into it again. */
  async keepAgain(): Promise<void> {
    const kept = this.all.filter((utterance) => utterance.isKept);
    if (kept.length > 0) await this.keep(kept);
    for (const resolve of this.whenKeptAgain) resolve();
    this.whenKeptAgain = [];
  }

  /** Resolves when what is marked as kept has been put into the persistent tier that was being emptied. */
  keptAgain(): Promise<void> {
    return new Promise((resolve) => {
      this.whenKeptAgain.push(resolve);
    });
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
    const record = { ...everything, position: one.position };
    const said = dropped.filter(({ isKept }) => isKept).map(({ id }) => ({ row: 'said', id }) as const);
    this.journal()
      ?.append([{ row: 'unsaid', id: one.id, record }, ...said])
      .catch(() => undefined);
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
