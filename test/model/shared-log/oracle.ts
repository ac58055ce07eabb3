import { matches, type Subject } from '../harness/model.js';

/** Within this, an instance that hears well has followed the others. */
export const BOUND_MS = 1_000;

/** One life of one instance. */
export interface Life {
  readonly instance: number;
  readonly bornAt: number;
  /** It has a disk, so what its earlier lives have invalidated binds it. */
  readonly isDurable: boolean;
  /** As of which step it has followed the others since it is connected. Undefined while it is not. */
  connectedAt: number | undefined;
  /** Whether it has ever been: before, nothing that outlived its last life is believed. */
  hasConnected: boolean;
  /** When its messages were last slow or lost. */
  spoiltMs: number;
}

export interface Value {
  readonly lane: string;
  readonly key: string;
  readonly startedAt: number;
  tags: readonly string[];
}

export interface Invalidation extends Subject {
  readonly by: Life;
  readonly calledAt: number;
  /** When the call came to an end. */
  settledAt: number;
  /** When it had resolved: from then on it binds other instances and later lives. */
  resolvedAt: number;
  /** When nothing of it was left to be published. */
  published: { readonly at: number; readonly ms: number } | undefined;
}

export interface Call {
  readonly life: Life;
  readonly lane: string;
  readonly key: string;
  readonly calledAt: number;
  readonly calledMs: number;
  readonly connectedAt: number | undefined;
  readonly spoiltMs: number;
  readonly hasConnected: boolean;
  /** Cut off for so long that nothing may be served from before. */
  readonly isStale: boolean;
}

/** What is promised of several instances, over plain lists. */
export class Oracle {
  readonly invalidations: Invalidation[] = [];
  private readonly values: Value[] = [];

  make(value: Value): { readonly made: number } {
    return { made: this.values.push(value) - 1 };
  }

  get(value: unknown): Value | undefined {
    if (typeof value !== 'object' || value === null || !('made' in value)) return undefined;
    return this.values[Number(value.made)];
  }

  call(invalidation: Pick<Invalidation, 'by' | 'kind' | 'lane' | 'subject' | 'calledAt'>): Invalidation {
    const full = { ...invalidation, settledAt: Infinity, resolvedAt: Infinity, published: undefined };
    this.invalidations.push(full);
    return full;
  }

  /** What is wrong with the answer; undefined if nothing is. */
  judge(call: Call, answer: unknown): string | undefined {
    const value = this.get(answer);
    const who = `${call.life.instance}: ${call.key}@${call.calledAt}`;
    if (value === undefined) return `P1 ${who} got something that nobody made`;
    if (value.lane !== call.lane || value.key !== call.key) return `P1 ${who} got the value of ${value.key}`;
    const got = `got what was started @${value.startedAt}`;
    if (call.isStale && value.startedAt < call.calledAt) return `STALE ${who} ${got}, while cut off for too long`;
    if (!call.hasConnected && value.startedAt < call.life.bornAt) return `BOOT ${who} ${got}, before it was connected`;
    for (const invalidation of this.invalidations) {
      if (value.startedAt >= invalidation.calledAt || !matches(invalidation, value)) continue;
      const bond = binds(invalidation, call);
      if (bond === undefined) continue;
      const { kind, subject, calledAt, settledAt, published } = invalidation;
      return `P1 ${who} ${got}, ${kind} ${subject} of ${invalidation.by.instance} called @${calledAt} ended @${settledAt} published @${published?.at}: ${bond}`;
    }
    return undefined;
  }
}

function binds(invalidation: Invalidation, call: Call): string | undefined {
  const { life, calledAt, connectedAt } = call;
  if (invalidation.by === life) return invalidation.settledAt < calledAt ? 'called here' : undefined;
  if (invalidation.by.instance === life.instance && life.isDurable && invalidation.resolvedAt < life.bornAt)
    return 'called before';
  const { published } = invalidation;
  if (
    published === undefined ||
    invalidation.resolvedAt >= calledAt ||
    published.at >= calledAt ||
    connectedAt === undefined
  )
    return undefined;
  if (published.at < connectedAt) return 'reconnected since';
  return call.calledMs - Math.max(published.ms, call.spoiltMs) > BOUND_MS ? 'connected' : undefined;
}
