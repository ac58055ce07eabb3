/** A command for an instance. */
export type Order =
  | { readonly order: 'ask'; readonly articles: readonly string[] }
  | { readonly order: 'changed'; readonly article: string }
  | { readonly order: 'report' }
  | { readonly order: 'stop' };

/** Its answer. */
export interface Report {
  readonly requests: number;
  readonly computations: number;
  readonly hits: { readonly l1: number; readonly l4: number };
  /** The prices of the articles of the last command. */
  readonly askedAt: readonly string[];
}
