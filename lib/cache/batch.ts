import { toMilliseconds } from '../lanes/duration.js';
import type { Compute, ComputeContext, ComputeMany, ComputeManyContext } from './options.js';

interface Claim {
  readonly ctx: ComputeContext;
  readonly settle: (value: unknown) => void;
  readonly fail: (error: unknown) => void;
}

/**
 * One computation for several keys, each of which is a flight of its own.
 *
 * The flights claim their keys as they find that no tier has them; when every flight of the batch has either claimed or
 * been answered, the function runs once for all claims.
 */
export class Batch {
  private readonly claims = new Map<string, Claim>();
  private readonly undecided: Set<string>;

  constructor(
    keys: Iterable<string>,
    private readonly computeMissing: ComputeMany<unknown>,
    private readonly around: (keys: ReadonlySet<string>, run: () => unknown) => unknown,
  ) {
    this.undecided = new Set(keys);
  }

  /** What a flight of the batch computes. */
  readonly compute: Compute<unknown> = (ctx) =>
    new Promise((settle, fail) => {
      const expected = this.undecided.has(ctx.key);
      this.claims.set(ctx.key, { ctx, settle, fail });
      // A flight that had to queue starts after the others have been computed: it is a batch of one.
      if (expected) this.decided(ctx.key);
      else void this.run([ctx.key]);
    });

  /** The flight of `key` has claimed it, or needs no computation of this batch. */
  decided(key: string): void {
    if (!this.undecided.delete(key) || this.undecided.size > 0 || this.claims.size === 0) return;
    void this.run([...this.claims.keys()]);
  }

  private async run(keys: readonly string[]): Promise<void> {
    const claims = new Map(keys.flatMap((key) => this.take(key)));
    const running = new Set(keys);
    try {
      const computed = this.around(running, () => this.computeMissing(keys, this.contextOf(claims)));
      const values = (await computed) as ReadonlyMap<string, unknown>;
      for (const [key, claim] of claims) claim.settle(values.get(key));
    } catch (error) {
      for (const claim of claims.values()) claim.fail(error);
    } finally {
      running.clear();
    }
  }

  private take(key: string): [string, Claim][] {
    const claim = this.claims.get(key);
    this.claims.delete(key);
    return claim === undefined ? [] : [[key, claim]];
  }

  private contextOf(claims: ReadonlyMap<string, Claim>): ComputeManyContext {
    const signals = [...claims.values()].map((claim) => claim.ctx.signal);
    const controller = new AbortController();
    const allAborted = (): void => {
      const first = signals.find((signal) => !signal.aborted);
      if (first === undefined) controller.abort(signals[0]?.reason);
    };
    for (const signal of signals) signal.addEventListener('abort', allAborted, { once: true });
    return {
      signal: controller.signal,
      setTags: (key, tags) => claims.get(key)?.ctx.setTags(tags),
      setTtl: (key, ttl) => {
        toMilliseconds(ttl, { field: 'ttl' });
        claims.get(key)?.ctx.setTtl(ttl);
      },
    };
  }
}
