import { matches, type Subject } from '../harness/model.js';

/** Something that was computed, or set. */
interface Made {
  readonly key: string;
  readonly tags: readonly string[];
  /** When its computation was started, or the set was called. */
  readonly startedAt: number;
}

/** Something that was said to count no longer, in whatever process. */
export interface Invalidation extends Subject {
  readonly calledAt: number;
  /** Infinity until it has been resolved. */
  resolvedAt: number;
}

/** What the promise says, over plain lists. All processes of a directory are one to it. */
export class Oracle {
  readonly invalidations: Invalidation[] = [];
  private readonly made: Made[] = [];

  make(made: Made): { readonly made: number } {
    return { made: this.made.push(made) - 1 };
  }

  call(invalidation: Omit<Invalidation, 'resolvedAt'>): Invalidation {
    const full = { ...invalidation, resolvedAt: Infinity };
    this.invalidations.push(full);
    return full;
  }

  /** What is wrong with a caller's getting this value; undefined if nothing is. */
  judge(key: string, calledAt: number, value: unknown): string | undefined {
    const made =
      typeof value === 'object' && value !== null && 'made' in value ? this.made[Number(value.made)] : undefined;
    if (made?.key !== key) return `P3 ${key} came as ${JSON.stringify(value)}`;
    const broken = this.invalidations.find(
      (one) =>
        one.resolvedAt < calledAt && made.startedAt < one.calledAt && matches(one, { lane: 'standard', ...made }),
    );
    if (broken === undefined) return undefined;
    const { kind, subject, calledAt: invalidatedAt, resolvedAt } = broken;
    return `P1 ${key} of ${made.startedAt} at ${calledAt}, after ${kind} ${subject} of ${invalidatedAt} to ${resolvedAt}`;
  }
}
