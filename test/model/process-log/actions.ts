import { ActionDice, KEYS, type InvalidationKind } from '../harness/model.js';

/**
 * One step of a trace. Numbers choose among what is there when the step is taken, counted round. The next step comes when
 * everything that this one set off stands still, or, if it is `hurried`, so many microtasks later.
 */
export type Action = Step & { readonly hurried?: number };

type Step =
  | { readonly do: 'get'; readonly at: Place; readonly key: string; readonly many: boolean }
  | { readonly do: 'ask'; readonly at: Place; readonly key: string; readonly how: How; readonly many: boolean }
  | { readonly do: 'put'; readonly at: Place; readonly key: string; readonly how: How }
  | { readonly do: 'set'; readonly at: Place; readonly key: string; readonly how: How; readonly many: boolean }
  | { readonly do: 'invalidate'; readonly at: Place; readonly kind: InvalidationKind; readonly subject: string }
  | { readonly do: 'finish'; readonly n: number; readonly outcome: 'ok' | 'failed' }
  | { readonly do: 'leave'; readonly n: number }
  | { readonly do: 'work'; readonly n: number; readonly many: number }
  | { readonly do: 'commit'; readonly process: number; readonly tier: 'l2' | 'l3'; readonly many: number }
  | { readonly do: 'evict'; readonly at: Place; readonly key: string }
  | { readonly do: 'time'; readonly ms: number }
  | { readonly do: 'wall'; readonly ms: number }
  | { readonly do: 'break'; readonly process: number; readonly tier: 'l2' | 'l3'; readonly how: 'broken' | 'mended' }
  | { readonly do: 'stick'; readonly process: number; readonly how: boolean }
  | { readonly do: 'reads'; readonly process: number; readonly how: 'at-once' | 'later' }
  | { readonly do: 'kill'; readonly process: number }
  | { readonly do: 'start'; readonly process: number }
  | { readonly do: 'take-over'; readonly process: number };

export interface Place {
  readonly process: number;
  readonly lane: string;
}

/** How a value is asked for or set. */
export interface How {
  readonly force: boolean;
  readonly graceS: number;
  readonly softMs: number | undefined;
  readonly hardMs: number | undefined;
  readonly refreshAhead: number | undefined;
}

/** What may happen in a run. */
export interface Scene {
  readonly processes: 1 | 2;
  readonly breaks: boolean;
  readonly restarts: boolean;
  readonly freshness: boolean;
  /** Few kinds of steps, so that those which matter to a race come close together. */
  readonly plain: boolean;
  /** Nothing else than calls, many of them forced. */
  readonly only?: 'forced';
  /** For a closer look at one kind of race: of all keys, of all kinds of invalidations, of all ways to ask. */
  readonly keys?: readonly string[];
  readonly kinds?: readonly InvalidationKind[];
  readonly forces?: number;
  readonly renews?: true;
  readonly reads?: 'later';
  /** Shares, among all steps, of explicit sets, of put computations and of what memory lets go. */
  readonly sets?: number;
  readonly evicts?: number;
  readonly puts?: number;
  /** Shares of breaking and mending a tier, and of killing, starting and taking over. */
  readonly faults?: number;
  /** Share of steps that the next one does not wait for. */
  readonly hurries?: number;
  readonly changes?: number;
}

const KINDS: readonly InvalidationKind[] = [
  ...(['key', 'key', 'key', 'tag', 'tag', 'tag'] as const),
  ...(['pattern', 'all', 'expire', 'expire-tag'] as const),
];
const LANES = ['standard', 'standard', 'standard', 'docs'];

export class ProcessDice extends ActionDice<Scene, Action> {
  action(): Action {
    const step = this.step();
    return this.chance(this.scene.hurries ?? 0.1) ? { ...step, hurried: this.number(5) } : step;
  }

  private step(): Step {
    const { restarts, breaks, freshness, processes } = this.scene;
    const process = this.process;
    const at = { process, lane: this.scene.plain ? 'standard' : this.of(LANES) };
    const key = this.of(this.scene.keys ?? KEYS);
    const tier = this.of(['l2', 'l3'] as const);
    if (this.chance(this.scene.sets ?? 0)) return { do: 'set', at, key, how: this.how(), many: false };
    if (this.chance(this.scene.evicts ?? 0)) return { do: 'evict', at, key };
    if (this.chance(this.scene.puts ?? 0)) return { do: 'put', at, key, how: this.how() };
    if (this.chance(this.scene.faults ?? 0)) {
      if (this.chance(0.2)) return { do: 'stick', process, how: this.chance(0.7) };
      return { do: 'break', process, tier, how: this.of(['broken', 'mended'] as const) };
    }
    if (this.chance(this.scene.changes ?? 0)) return { do: this.of(['kill', 'start', 'take-over'] as const), process };
    const roll = this.roll() * (this.scene.only === 'forced' ? 0.67 : 1);
    if (roll < 0.2) return { do: 'ask', at, key, how: this.how(), many: !this.scene.plain && this.chance(0.15) };
    if (roll < 0.23) return { do: 'get', at, key, many: this.chance(0.3) };
    if (roll < 0.42) return { do: 'work', n: this.number(4), many: this.of([1, 1, 3]) };
    if (roll < 0.53) return { do: 'finish', n: this.number(4), outcome: this.chance(0.2) ? 'failed' : 'ok' };
    if (roll < 0.67) return { do: 'commit', process, tier, many: this.of([1, 2, 4]) };
    if (roll < 0.82 && this.scene.kinds?.length !== 0) {
      return { do: 'invalidate', at, ...this.invalidation(this.scene.kinds ?? KINDS, this.scene.keys ?? KEYS) };
    }
    if (roll < 0.86) return { do: 'evict', at, key };
    if (roll < 0.88) return { do: 'set', at, key, how: this.how(), many: this.chance(0.2) };
    if (roll < 0.89) return { do: 'put', at, key, how: this.how() };
    if (roll < 0.905) return { do: 'reads', process, how: this.of(['at-once', 'later'] as const) };
    if (roll < 0.92 && restarts) return { do: 'kill', process };
    if (roll < 0.95 && restarts) return { do: 'start', process };
    if (roll < 0.965 && processes === 2) return { do: 'take-over', process };
    if (roll < 0.98 && breaks) return { do: 'break', process, tier, how: this.of(['broken', 'mended'] as const) };
    if (roll < 0.983 && breaks) return { do: 'stick', process, how: this.chance(0.3) };
    if (roll < 0.993 && freshness) return { do: 'time', ms: this.of([100, 1_000, 2_500, 6_000, 11_000]) };
    if (roll < 0.996 && freshness) return { do: 'wall', ms: this.of([-60_000, 3_000]) };
    if (freshness) return { do: 'leave', n: this.number(4) };
    return { do: 'work', n: this.number(4), many: 1 };
  }

  private how(): How {
    if (!this.scene.freshness) {
      const force = this.chance(this.scene.forces ?? 0.05);
      return { force, graceS: 0, softMs: undefined, hardMs: undefined, refreshAhead: undefined };
    }
    if (this.scene.renews) return { force: false, graceS: 0, softMs: undefined, hardMs: undefined, refreshAhead: 0.2 };
    return {
      force: this.chance(0.15),
      graceS: this.of([0, 8, 8]),
      softMs: this.of([undefined, undefined, 0, 1_000]),
      hardMs: this.of([undefined, undefined, 2_000]),
      refreshAhead: this.of([undefined, 0.3]),
    };
  }

  private get process(): number {
    return this.scene.processes === 2 && this.chance(0.4) ? 1 : 0;
  }
}
