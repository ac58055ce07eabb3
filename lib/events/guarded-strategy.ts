import { ignoreRejection } from '../clock/promises.js';
import type { CacheCandidate, EntryView, LaneStrategy } from '../lanes/strategy.js';
import type { ReportFault } from './reasons.js';

/**
 * A strategy of the app that always answers: one that throws, or answers what has no meaning, stores the value and
 * evicts the least recently used entry. While it is asked it is not asked again, because it may call the cache.
 */
export class GuardedStrategy implements LaneStrategy {
  private isAsked = false;

  constructor(
    private readonly strategy: LaneStrategy,
    private readonly lane: string,
    private readonly report: ReportFault,
  ) {}

  shouldCache(candidate: CacheCandidate): boolean {
    const isBoolean = (answer: unknown): answer is boolean => typeof answer === 'boolean';
    return this.ask(() => this.strategy.shouldCache(candidate), isBoolean, {
      instead: true,
      detail: `shouldCache of lane '${this.lane}' gave neither true nor false, and the value was stored.`,
    });
  }

  getEvictionPriority(lane: string, entry: EntryView): number {
    const isNumber = (answer: unknown): answer is number => typeof answer === 'number' && !Number.isNaN(answer);
    return this.ask(() => this.strategy.getEvictionPriority(lane, entry), isNumber, {
      instead: -Infinity,
      detail: `getEvictionPriority of lane '${this.lane}' gave no number, and the least recently used entry is evicted.`,
    });
  }

  private ask<T>(
    question: () => unknown,
    fits: (answer: unknown) => answer is T,
    otherwise: { readonly instead: T; readonly detail: string },
  ): T {
    if (this.isAsked) return otherwise.instead;
    this.isAsked = true;
    try {
      const answer = question();
      if (fits(answer)) return answer;
      ignoreRejection(answer);
      this.failed(otherwise.detail, undefined);
    } catch (error) {
      this.failed(otherwise.detail, error);
    } finally {
      this.isAsked = false;
    }
    return otherwise.instead;
  }

  private failed(detail: string, error: unknown): void {
    this.report({ collaborator: 'strategy', lane: this.lane, detail, error });
  }
}
