import { matches, type Subject } from '../harness/model.js';

/** Within this, a process that is well connected has followed the other hosts. */
const BOUND_MS = 1_000;

/** One life of one process. */
export interface Life {
  readonly host: number;
  /** As of which step it has followed the server since it is connected; undefined while it is not. */
  connectedAt: number | undefined;
  /** When its messages were last slow or lost. */
  spoiltMs: number;
}

interface Made {
  readonly key: string;
  readonly tags: readonly string[];
  readonly startedAt: number;
}

export interface Invalidation extends Subject {
  readonly by: Life;
  readonly calledAt: number;
  /** When the call had come to an end. */
  settledAt: number;
  /** Infinity until it has resolved. */
  resolvedAt: number;
  /** When nothing of it was left to be published. */
  published: { readonly at: number; readonly ms: number } | undefined;
}

export interface Call {
  readonly life: Life;
  readonly key: string;
  readonly calledAt: number;
  readonly calledMs: number;
  readonly connectedAt: number | undefined;
  readonly spoiltMs: number;
}

/** What is promised of the processes of several hosts, over plain lists. */
export class Oracle {
  readonly invalidations: Invalidation[] = [];
  private readonly made: Made[] = [];

  make(made: Made): { readonly made: number } {
    return { made: this.made.push(made) - 1 };
  }

  call(invalidation: Pick<Invalidation, 'by' | 'kind' | 'lane' | 'subject' | 'calledAt'>): Invalidation {
    const full = { ...invalidation, settledAt: Infinity, resolvedAt: Infinity, published: undefined };
    this.invalidations.push(full);
    return full;
  }

  /** What is wrong with the answer; undefined if nothing is. */
  judge(call: Call, answer: unknown): string | undefined {
    const made =
      typeof answer === 'object' && answer !== null && 'made' in answer ? this.made[Number(answer.made)] : undefined;
    if (made?.key !== call.key) return `P3 ${call.key} came as ${JSON.stringify(answer)}`;
    for (const invalidation of this.invalidations) {
      if (made.startedAt >= invalidation.calledAt || !matches(invalidation, { lane: 'standard', ...made })) continue;
      const bond = binds(invalidation, call);
      if (bond === undefined) continue;
      const { kind, subject, by, calledAt, resolvedAt, published } = invalidation;
      return `P1 ${call.key} of ${made.startedAt} on host ${call.life.host} at ${call.calledAt}, after ${kind} ${subject} on host ${by.host} of ${calledAt} to ${resolvedAt}, published ${published?.at}: ${bond}`;
    }
    return undefined;
  }
}

function binds(invalidation: Invalidation, call: Call): string | undefined {
  const { life, calledAt, connectedAt } = call;
  if (invalidation.by === life) return invalidation.settledAt < calledAt ? 'called here' : undefined;
  if (invalidation.resolvedAt >= calledAt) return undefined;
  if (invalidation.by.host === life.host) return 'called on this host';
  const { published } = invalidation;
  if (published === undefined || published.at >= calledAt || connectedAt === undefined) return undefined;
  if (published.at < connectedAt) return 'reconnected since';
  return call.calledMs - Math.max(published.ms, call.spoiltMs) > BOUND_MS ? 'connected' : undefined;
}
