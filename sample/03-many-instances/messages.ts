/** What an instance is told to do. */
export type Order =
  | { readonly order: 'ask'; readonly articles: readonly string[] }
  | { readonly order: 'changed'; readonly article: string }
  | { readonly order: 'report' }
  | { readonly order: 'stop' };

/** What it answers. */
export interface Report {
  readonly requests: number;
  readonly computations: number;
  readonly hits: { readonly l1: number; readonly l4: number };
  /** Of the articles that were asked last. */
  readonly askedAt: readonly string[];
}
