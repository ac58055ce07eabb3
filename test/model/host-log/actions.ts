import { ActionDice, KEYS, type InvalidationKind } from '../harness/model.js';

/** One step of a trace. Numbers choose among what is there when the step is taken, counted round. */
export type Action =
  | { readonly do: 'ask'; readonly process: number; readonly key: string; readonly force: boolean }
  | { readonly do: 'get' | 'set' | 'forget'; readonly process: number; readonly key: string }
  | { readonly do: 'invalidate'; readonly process: number; readonly kind: InvalidationKind; readonly subject: string }
  | { readonly do: 'finish'; readonly n: number; readonly outcome: 'ok' | 'failed' }
  | { readonly do: 'work'; readonly process: number; readonly n: number; readonly many: number }
  | { readonly do: 'time'; readonly ms: number }
  | { readonly do: 'kill'; readonly process: number; readonly how: 'at-once' | 'torn' }
  | { readonly do: 'start' | 'claim' | 'freeze' | 'thaw' | 'rotate'; readonly process: number }
  | { readonly do: 'disk'; readonly what: Fault }
  | { readonly do: 'power'; readonly unsynced: 'kept' | 'lost' };

/** `refusing`: no file takes anything more, but new ones can be made. */
export type Fault = 'full' | 'refusing' | 'room' | 'garbage' | 'removed';

/** What may happen in a run, as shares among all steps. */
export interface Scene {
  readonly processes: 2 | 3;
  readonly keys?: readonly string[];
  readonly kinds?: readonly InvalidationKind[];
  readonly sets?: number;
  readonly kills?: number;
  readonly freezes?: number;
  readonly rotations?: number;
  readonly faults?: number;
  readonly powerCuts?: number;
  /** Not beside rotations and voids: a process that is a segment ahead notices by its own look within 250 ms only. */
  readonly removals?: number;
  readonly forgets?: number;
}

const KINDS: readonly InvalidationKind[] = ['key', 'key', 'tag', 'tag', 'pattern', 'all', 'expire', 'expire-tag'];

export class HostDice extends ActionDice<Scene, Action> {
  action(): Action {
    const { scene } = this;
    const process = this.number(scene.processes);
    const key = this.of(scene.keys ?? KEYS);
    if (this.chance(scene.powerCuts ?? 0)) return { do: 'power', unsynced: this.of(['lost', 'lost', 'kept'] as const) };
    if (this.chance(scene.kills ?? 0)) return this.lifeOf(process);
    if (this.chance(scene.freezes ?? 0)) return { do: this.of(['freeze', 'thaw', 'thaw'] as const), process };
    if (this.chance(scene.rotations ?? 0)) return { do: 'rotate', process };
    if (this.chance(scene.faults ?? 0))
      return { do: 'disk', what: this.of(['full', 'refusing', 'room', 'room', 'room', 'garbage'] as const) };
    if (this.chance(scene.removals ?? 0)) return { do: 'disk', what: 'removed' };
    if (this.chance(scene.sets ?? 0.04)) return { do: 'set', process, key };
    if (this.chance(scene.forgets ?? 0.05)) return { do: 'forget', process, key };
    const roll = this.roll();
    if (roll < 0.2) return { do: 'ask', process, key, force: this.chance(0.1) };
    if (roll < 0.26) return { do: 'get', process, key };
    if (roll < 0.4) return { do: 'finish', n: this.number(4), outcome: this.chance(0.1) ? 'failed' : 'ok' };
    if (roll < 0.52)
      return { do: 'invalidate', process, ...this.invalidation(scene.kinds ?? KINDS, scene.keys ?? KEYS) };
    if (roll < 0.96) return { do: 'work', process, n: this.number(3), many: this.of([1, 2, 4, 8]) };
    return { do: 'time', ms: this.of([10, 60, 200]) };
  }

  private lifeOf(process: number): Action {
    if (this.chance(0.35)) return { do: 'kill', process, how: this.of(['at-once', 'torn'] as const) };
    return { do: this.of(['start', 'claim', 'claim'] as const), process };
  }
}
