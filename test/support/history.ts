/** Within this, an instance that is well connected has followed the others. Times are in ms of one clock of the machine. */
export const BOUND_MS = 1_000;
/** Where nothing is held up, an answer of the server is that old at most. */
const ANSWERED_WITHIN_MS = 60;

export interface Life {
  readonly instance: number;
  readonly life: number;
}

/** A value is the time at which its computation began. */
export interface ReadRecord extends Life {
  readonly key: string;
  readonly calledAt: number;
  readonly value: number;
}

export interface PublishedRecord extends Life {
  readonly keys: readonly string[];
  readonly calledAt: number;
  readonly endedAt: number;
  readonly hasResolved: boolean;
  /** It was answered so soon, over a connection that stood, that the server must have it. */
  readonly isCertain: boolean;
}

/** What was recorded of instances that shared a server. */
export class History {
  readonly reads: ReadRecord[] = [];
  /** By life: when it began, and every change of its connection. */
  private readonly lives = new Map<string, { startedAt: number; turns: { at: number; isOn: boolean }[] }>();
  private readonly publishedOf = new Map<string, PublishedRecord[]>();
  /** When an instance could not be expected to follow. */
  private readonly spoilt = new Map<number, { from: number; to: number }[]>();
  published = 0;

  constructor(private readonly durable: ReadonlySet<number>) {}

  started({ instance, life }: Life, startedAt: number): void {
    this.lives.set(`${instance}/${life}`, { startedAt, turns: [] });
  }

  turned({ instance, life }: Life, at: number, isOn: boolean): void {
    this.lives.get(`${instance}/${life}`)?.turns.push({ at, isOn });
  }

  spoil(instance: number, from: number, to: number): void {
    this.spoilt.set(instance, [...(this.spoilt.get(instance) ?? []), { from, to }]);
  }

  publish(record: PublishedRecord): void {
    this.published++;
    for (const key of record.keys) {
      const others = this.publishedOf.get(key) ?? [];
      others.push(record);
      this.publishedOf.set(key, others);
    }
  }

  /** Every read that got what it must not get, in words. */
  get violations(): readonly string[] {
    return this.reads.flatMap((read) => {
      const named = (this.publishedOf.get(read.key) ?? []).filter(
        ({ calledAt, endedAt }) => calledAt > read.value && endedAt < read.calledAt,
      );
      return named.flatMap((record) => {
        const why = this.bond(record, read);
        return why === undefined ? [] : [`${why}: ${JSON.stringify({ read, record })}`];
      });
    });
  }

  /** Why the invalidation binds the read; undefined if it does not. */
  private bond(record: PublishedRecord, read: ReadRecord): string | undefined {
    const own = this.lives.get(`${read.instance}/${read.life}`);
    if (own === undefined) return undefined;
    if (record.instance === read.instance) {
      if (record.life === read.life) return 'published here';
      const isKept = record.hasResolved && this.durable.has(record.instance);
      if (isKept && record.life < read.life) return 'published by an earlier life';
    }
    const turn = own.turns.findLast(({ at }) => at < read.calledAt);
    if (!record.isCertain || turn?.isOn !== true) return undefined;
    if (record.endedAt < this.knewAt(read.instance, turn.at)) return 'reconnected since';
    const spoiltTo = Math.max(0, ...this.spoiltOf(read).map(({ to }) => to));
    return read.calledAt - Math.max(record.endedAt, turn.at, spoiltTo) > BOUND_MS ? 'connected' : undefined;
  }

  /**
   * As of when an instance knows all that was published, when it finds itself connected: as old as the answer that showed it,
   * which may have waited wherever it was held up.
   */
  private knewAt(instance: number, turnedAt: number): number {
    const isSpoilt = this.spoiltOf({ instance, calledAt: turnedAt }).length > 0;
    return turnedAt - (isSpoilt ? BOUND_MS : ANSWERED_WITHIN_MS);
  }

  private spoiltOf({
    instance,
    calledAt,
  }: Pick<ReadRecord, 'instance' | 'calledAt'>): readonly { readonly to: number }[] {
    return (this.spoilt.get(instance) ?? []).filter(({ from, to }) => from < calledAt && to > calledAt - BOUND_MS);
  }
}
