import { ActionDice, KEYS, type InvalidationKind } from '../harness/model.js';

/** One step of a trace. Numbers choose among what is there when the step is taken, counted round. */
export type Action =
  | { readonly do: 'get' | 'set' | 'forget' | 'ask'; readonly process: number; readonly key: string }
  | { readonly do: 'invalidate'; readonly process: number; readonly kind: InvalidationKind; readonly subject: string }
  | { readonly do: 'finish'; readonly n: number }
  | { readonly do: 'work'; readonly process: number; readonly n: number; readonly many: number }
  | { readonly do: 'time'; readonly ms: number }
  | { readonly do: 'weather'; readonly process: number; readonly weather: Weather }
  | { readonly do: 'server'; readonly what: 'trim' | 'restart' | 'empty' }
  | { readonly do: 'kill' | 'start' | 'claim'; readonly process: number };

/** `slow`: its messages move by steps of the trace. `deaf`: answers are lost. `down`: it cannot reach the server. */
export type Weather = 'fast' | 'slow' | 'cut' | 'deaf' | 'down';

/** What may happen in a run, as shares among all steps. Two processes of one host, and those of another, share a server. */
export interface Scene {
  /** The host of each process. */
  readonly hosts: readonly number[];
  readonly weathers: number;
  readonly weather: readonly Weather[];
  readonly faults: number;
  readonly fault: readonly ('trim' | 'restart' | 'empty')[];
  readonly kills: number;
  readonly sets: number;
  readonly keys?: readonly string[];
  readonly kinds: readonly InvalidationKind[];
  readonly times: readonly number[];
}

export class TwoLogsDice extends ActionDice<Scene, Action> {
  action(): Action {
    const { scene } = this;
    const { keys = KEYS } = scene;
    const process = this.number(scene.hosts.length);
    const key = this.of(keys);
    if (this.chance(scene.weathers)) return { do: 'weather', process, weather: this.of(scene.weather) };
    if (this.chance(scene.faults)) return { do: 'server', what: this.of(scene.fault) };
    if (this.chance(scene.kills)) return { do: this.of(['kill', 'start', 'claim', 'claim'] as const), process };
    if (this.chance(scene.sets)) return { do: 'set', process, key };
    const roll = this.roll();
    if (roll < 0.2) return { do: 'ask', process, key };
    if (roll < 0.26) return { do: 'get', process, key };
    if (roll < 0.36) return { do: 'finish', n: this.number(4) };
    if (roll < 0.48) return { do: 'invalidate', process, ...this.invalidation(scene.kinds, keys) };
    if (roll < 0.86) return { do: 'work', process, n: this.number(4), many: this.of([1, 2, 4, 16]) };
    if (roll < 0.91) return { do: 'forget', process, key };
    return { do: 'time', ms: this.of(scene.times) };
  }
}
