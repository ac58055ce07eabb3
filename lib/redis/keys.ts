import { physicalKey } from '../entries/record.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';

/**
 * The names of an app's keys. Those of the log carry the same hash tag, so that in a Redis Cluster a script finds all it
 * touches on one node. Entries do as well, unless they are spread over the nodes.
 *
 * `meta` (hash: generation, run id, sequence number, floors, clears), `stream` (the records, capped), `keys` and `tags`
 * (sorted sets: position of the latest record of each key and tag, bounded), `patterns` (sorted set of the recent
 * ones). Entries carry the generation in their names; a new one leaves the old ones to their expiry.
 */
export class KeySpace {
  readonly meta: string;
  readonly stream: string;
  readonly keys: string;
  readonly tags: string;
  readonly patterns: string;
  readonly released: string;
  readonly instances: string;
  private readonly root: string;
  private readonly rootOfEntries: string;

  /** Throws OPTIONS_INVALID for a prefix that is empty or has a brace. */
  constructor(prefix: string, entries: 'beside-the-log' | 'spread' = 'beside-the-log') {
    if (typeof prefix !== 'string' || prefix === '' || /[{}]/.test(prefix)) {
      throw new LaneCacheError('OPTIONS_INVALID', 'distributed.prefix must be a text without braces.', {
        field: 'distributed.prefix',
      });
    }
    this.root = `{${prefix}}`;
    this.rootOfEntries = entries === 'spread' ? prefix : this.root;
    this.meta = `${this.root}:meta`;
    this.stream = `${this.root}:stream`;
    this.keys = `${this.root}:keys`;
    this.tags = `${this.root}:tags`;
    this.patterns = `${this.root}:patterns`;
    // The name that release 0.1.0 uses, which may run beside this one.
    this.released = `${this.root}:landed`;
    this.instances = `${this.root}:instances`;
  }

  /** In the order in which every script of the log takes them. */
  get log(): readonly string[] {
    return [this.meta, this.stream, this.keys, this.tags, this.patterns];
  }

  entry(generation: string, lane: string, key: string): string {
    return `${this.rootOfEntries}:e:${generation}:${physicalKey(lane, key)}`;
  }

  lease(lane: string, key: string): string {
    return `${this.root}:lease:${physicalKey(lane, key)}`;
  }

  /** Of all names of the shared checkpoints. */
  get checkpoints(): string {
    return `${this.root}:checkpoints`;
  }
}
