import { matches, type Named, type Subject } from './model.js';

/** Within this, an instance that is well connected has followed the others. */
const BOUND_MS = 1_000;

/** A value that was computed or set. */
export interface Made extends Named {
  /** When its computation was started, or the set was called. */
  readonly startedAt: number;
}

/** An invalidation, or a set, which replaces what is older. */
export interface Invalidation<By> extends Subject {
  readonly by: By;
  readonly calledAt: number;
  /** When the call came to an end. Infinity until then. */
  settledAt: number;
  /** When it had resolved: from then on it binds others too. Infinity until then. */
  resolvedAt: number;
  /** When nothing of it was left to be published. */
  published: { readonly at: number; readonly ms: number } | undefined;
}

/** What one instance knows of a server. */
export interface ServerLife {
  /** As of which step it has followed the others since it is connected. Undefined while it is not. */
  connectedAt: number | undefined;
  /** When its messages were last slow or lost. */
  spoiltMs: number;
}

/** A call of an instance with a server, and how it was connected then. */
export interface ServerCall extends Readonly<ServerLife> {
  readonly calledAt: number;
  readonly calledMs: number;
}

/** What was made and what was invalidated in a run, as plain lists: no positions, nothing of how the library does it. */
export class History<M extends Made, By> {
  readonly invalidations: Invalidation<By>[] = [];
  protected readonly values: M[] = [];

  make(value: M): { readonly made: number } {
    return { made: this.values.push(value) - 1 };
  }

  get(answer: unknown): M | undefined {
    if (typeof answer !== 'object' || answer === null || !('made' in answer)) return undefined;
    return this.values[Number(answer.made)];
  }

  call(invalidation: Pick<Invalidation<By>, 'by' | 'kind' | 'lane' | 'subject' | 'calledAt'>): Invalidation<By> {
    const full = { ...invalidation, settledAt: Infinity, resolvedAt: Infinity, published: undefined };
    this.invalidations.push(full);
    return full;
  }

  /** What was called about the value after it was begun. */
  protected since(value: M): readonly Invalidation<By>[] {
    return this.invalidations.filter(
      (invalidation) => value.startedAt < invalidation.calledAt && matches(invalidation, value),
    );
  }
}

/** Why a call has to respect what was invalidated elsewhere and came by the server; undefined if it need not. */
export function bondByServer(
  { published, resolvedAt }: Pick<Invalidation<unknown>, 'published' | 'resolvedAt'>,
  { calledAt, calledMs, connectedAt, spoiltMs }: ServerCall,
): string | undefined {
  if (published === undefined || connectedAt === undefined) return undefined;
  if (resolvedAt >= calledAt || published.at >= calledAt) return undefined;
  if (published.at < connectedAt) return 'reconnected since';
  return calledMs - Math.max(published.ms, spoiltMs) > BOUND_MS ? 'connected' : undefined;
}
