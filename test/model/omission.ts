export type Edit = readonly [file: string, text: string, instead: string];

/** What is left out of the library to see whether anybody notices. */
export interface Omission<Scene extends object = object, Name extends string = string> {
  readonly rule: string;
  readonly out: string;
  readonly scene: Name;
  /** A closer look at what matters to it. */
  readonly focus: Partial<Scene>;
  /** Where it is taken out; each text must occur exactly once in its file. */
  readonly edits: readonly Edit[];
}
