import { KeyPattern } from '../../../lib/entries/pattern.js';
import type { LaneManager } from '../../../lib/cache/lane-manager.js';

/**
 * A log under test, in a world of its own: the library's code over modelled disks, networks and clocks. A random trace of
 * steps is drawn from a scene, and an oracle judges every answer by the promises alone.
 */
export interface Model<Scene, Step> {
  /** What may happen in a run, from few things to all of them. */
  readonly scenes: Readonly<Record<string, Scene>> & { readonly everything: Scene };
  /** The longest trace, in steps, beyond the shortest of 8. */
  readonly steps: number;
  /** What a run counts, and must have seen at least once in a scene. */
  readonly tallies: readonly string[];
  /** The rules of the log, each with one way to break it. */
  readonly omissions: readonly Omission<Scene>[];
  readonly dice: new (random: () => number, scene: Scene) => ActionDice<Scene, Step>;
  world(scene: Scene): ModelWorld<Step>;
}

/** Everything of one run. */
export interface ModelWorld<Step> {
  /** The first broken promise: its name, then what happened. */
  readonly violation: string | undefined;
  readonly tally: Readonly<Record<string, number>>;
  take(step: Step): Promise<void>;
  /** Lets everything come to its end, and asks for every key once more. */
  finish(): Promise<void>;
  /** Ends what is left, so that the next world starts clean. */
  leave(): void;
}

export type Edit = readonly [file: string, text: string, instead: string];

/** What is left out of the library to see whether the search notices. */
export interface Omission<Scene = object> {
  readonly rule: string;
  readonly out: string;
  /** The name of the scene in which it is looked for. */
  readonly scene: string;
  /** A closer look at what matters to it. */
  readonly focus: Partial<Scene>;
  /** Where it is taken out; each text must occur exactly once in its file. */
  readonly edits: readonly Edit[];
  /** Steps that show it, where random walks come to them too rarely. */
  readonly script?: readonly object[] | undefined;
}

export const KEYS = ['a', 'b', 'c'] as const;
/** Tags given with the call. */
export const DECLARED: Readonly<Record<string, readonly string[]>> = { a: ['t'], b: [], c: [] };
/** Tags that the computation sets at its end. */
export const LATE: Readonly<Record<string, readonly string[]>> = { a: [], b: ['u'], c: [] };
const TAGS = ['t', 'u'];
const PATTERNS = ['*', 'a', 'u:*', 't:?', 'c'];

export const SOURCE_FAILED = new Error('the source failed');

export const tagsOf = (key: string): readonly string[] => [...(DECLARED[key] ?? []), ...(LATE[key] ?? [])];

export type InvalidationKind = 'key' | 'tag' | 'pattern' | 'all' | 'expire' | 'expire-tag';

/** What an invalidation is about. `set` replaces a value. */
export interface Subject {
  readonly kind: InvalidationKind | 'set';
  /** Absent for all lanes. */
  readonly lane: string | undefined;
  readonly subject: string;
}

/** An entry, as invalidations are about it. */
export interface Named {
  readonly lane: string;
  readonly key: string;
  readonly tags: readonly string[];
}

/** Whether an invalidation is about an entry. */
export function matches({ kind, lane, subject }: Subject, entry: Named): boolean {
  if (lane !== undefined && lane !== entry.lane) return false;
  switch (kind) {
    case 'all':
      return true;
    case 'tag':
    case 'expire-tag':
      return entry.tags.includes(subject);
    case 'pattern':
      return new KeyPattern(subject).matchesEntry(entry.key, entry.tags);
    default:
      return subject === entry.key;
  }
}

export const laneOf = (kind: InvalidationKind, lane: string): string | undefined =>
  kind === 'tag' || kind === 'expire-tag' ? undefined : lane;

/** Calls the library. */
export function invalidate(manager: LaneManager, kind: InvalidationKind, subject: string): Promise<unknown> {
  const calls = {
    key: () => manager.invalidate(subject),
    tag: () => manager.invalidateByTag(subject),
    pattern: () => manager.invalidateByPattern(subject),
    all: () => manager.clearAll(),
    expire: () => manager.expire(subject),
    'expire-tag': () => manager.expireByTag(subject),
  } satisfies Record<InvalidationKind, () => Promise<unknown>>;
  return calls[kind]();
}

/** Makes an omission, of one of the model's scenes. */
export type OmissionMaker<Scene, SceneName extends string> = (
  rule: string,
  out: string,
  scene: SceneName,
  focus: Partial<Scene>,
  ...edits: readonly Edit[]
) => Omission<Scene>;

/** Omissions of which random runs find too little have a script, by what is left out. */
export const omissionsOf =
  <Scene>(scripts: Readonly<Record<string, Omission['script']>> = {}): OmissionMaker<Scene, string> =>
  (rule, out, scene, focus, ...edits) => ({ rule, out, scene, focus, edits, script: scripts[out] });

/** Draws from a seeded source of chance. */
export class Dice {
  constructor(private readonly random: () => number) {}

  roll(): number {
    return this.random();
  }

  of<T>(list: readonly T[]): T {
    return list[this.number(list.length)] as T;
  }

  number(below: number): number {
    return Math.floor(this.random() * below);
  }

  chance(share: number): boolean {
    return this.random() < share;
  }

  invalidation(
    kinds: readonly InvalidationKind[],
    keys: readonly string[],
  ): { readonly kind: InvalidationKind; readonly subject: string } {
    const kind = this.of(kinds);
    const subjects = { key: keys, expire: keys, pattern: PATTERNS, tag: TAGS, 'expire-tag': TAGS, all: ['*'] };
    return { kind, subject: this.of(subjects[kind]) };
  }
}

/** Draws the steps of a scene. */
export abstract class ActionDice<Scene, Step> extends Dice {
  constructor(
    random: () => number,
    protected readonly scene: Scene,
  ) {
    super(random);
  }

  /** The next one. */
  abstract action(): Step;
}
