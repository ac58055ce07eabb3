import { ActionDice, type InvalidationKind } from '../harness/model.js';

/** One step of a trace. Numbers choose among what is there when the step is taken, counted round. */
export type Action =
  | { readonly do: 'ask'; readonly at: Place; readonly key: string; readonly force: boolean }
  | { readonly do: 'get' | 'set' | 'forget'; readonly at: Place; readonly key: string }
  | { readonly do: 'invalidate'; readonly at: Place; readonly kind: InvalidationKind; readonly subject: string }
  | { readonly do: 'finish'; readonly n: number; readonly outcome: 'ok' | 'failed' }
  | { readonly do: 'work'; readonly n: number; readonly many: number }
  | { readonly do: 'time'; readonly ms: number }
  | { readonly do: 'weather'; readonly instance: number; readonly weather: Weather }
  | { readonly do: 'disk'; readonly instance: number; readonly pace: Pace }
  | { readonly do: 'server'; readonly what: ServerFault; readonly n: number }
  | { readonly do: 'kill' | 'start'; readonly instance: number };

export interface Place {
  readonly instance: number;
  readonly lane: string;
}

export type Pace = 'fast' | 'slow';
export type Weather = Pace | 'cut' | 'hole' | 'down';
/** What becomes of a server: a replica that lags takes over, or it comes up with nothing, or with all it had. */
export type ServerFault = 'copy' | 'fail-over' | 'empty' | 'restart' | 'trim' | 'evict' | 'full' | 'room' | NodeFault;
/** What becomes of a node of a cluster that has entries alone. */
export type NodeFault = 'node-copy' | 'node-fail-over' | 'move';

/** What may happen in a run, as shares among all steps. */
export interface Scene {
  readonly instances: 2 | 3;
  /** Which of them have a disk. */
  readonly disks: readonly boolean[];
  readonly weathers: number;
  readonly weather: readonly Weather[];
  readonly faults: number;
  readonly fault: readonly ServerFault[];
  readonly kills: number;
  readonly onDisconnect: 'serve' | 'bypass';
  readonly trustPersistence: boolean;
  readonly coalesce: 'process' | 'cluster';
  /** Of several nodes one has the log, and all have entries. */
  readonly nodes?: 1 | 3;
  readonly keys: readonly string[];
  readonly kinds: readonly InvalidationKind[];
  /** Of explicit sets. */
  readonly sets?: number;
  /** Of steps that let time pass. */
  readonly times: readonly number[];
}

export class SharedDice extends ActionDice<Scene, Action> {
  action(): Action {
    const { scene } = this;
    const instance = this.number(scene.instances);
    const at = { instance, lane: this.chance(0.9) ? 'standard' : 'docs' };
    const key = this.of(scene.keys);
    if (this.chance(scene.weathers)) return { do: 'weather', instance, weather: this.of(scene.weather) };
    if (this.chance(scene.faults)) return { do: 'server', what: this.of(scene.fault), n: this.number(16) };
    if (this.chance(scene.kills)) return { do: this.of(['kill', 'start', 'start'] as const), instance };
    if (this.chance(scene.sets ?? 0)) return { do: 'set', at, key };
    const roll = this.roll();
    if (roll < 0.24) return { do: 'ask', at, key, force: this.chance(0.05) };
    if (roll < 0.28) return { do: 'get', at, key };
    if (roll < 0.42) return { do: 'finish', n: this.number(4), outcome: this.chance(0.1) ? 'failed' : 'ok' };
    if (roll < 0.66) return { do: 'work', n: this.number(12), many: this.of([1, 1, 2, 4]) };
    if (roll < 0.8 && scene.kinds.length > 0) {
      return { do: 'invalidate', at, ...this.invalidation(scene.kinds, scene.keys) };
    }
    if (roll < 0.86) return { do: 'forget', at, key };
    if (roll < 0.9) return { do: 'set', at, key };
    if (roll < 0.93) return { do: 'disk', instance, pace: this.of(['fast', 'slow'] as const) };
    return { do: 'time', ms: this.of(scene.times) };
  }
}
