import type { KeySpace } from './key-space.js';
import { READ } from './log-scripts.js';
import type { RecentPatterns } from './recent-patterns.js';
import { listOf, numberOf, bytesOf, textsOf } from './replies.js';
import type { Session } from './session.js';
import { keyMember } from './subject.js';

/** An entry as the server has it, found good as of the script. */
export interface ServerEntry {
  readonly birth: number;
  readonly lifeLeftMs: number;
  readonly record: Buffer;
}

interface Wanted {
  readonly lane: string;
  readonly key: string;
  readonly found: (entry: ServerEntry | undefined) => void;
  readonly failed: (error: unknown) => void;
}

/** A script holds up the server, so it reads no more than this. */
const AT_ONCE = 64;

/** Reads that are asked for in one step go out as one script: many keys in one trip. */
export class ReadBatches {
  private wanted: Wanted[] = [];

  constructor(
    private readonly keys: KeySpace,
    private readonly patterns: RecentPatterns,
  ) {}

  read(session: Session, generation: string, lane: string, key: string): Promise<ServerEntry | undefined> {
    return new Promise((found, failed) => {
      this.wanted.push({ lane, key, found, failed });
      if (this.wanted.length === 1) queueMicrotask(() => void this.flush(session, generation));
      else if (this.wanted.length === AT_ONCE) void this.flush(session, generation);
    });
  }

  private async flush(session: Session, generation: string): Promise<void> {
    const { wanted } = this;
    if (wanted.length === 0) return;
    this.wanted = [];
    try {
      const names = wanted.map(({ lane, key }) => this.keys.entry(generation, lane, key));
      const subjects = wanted.flatMap(({ lane, key }) => [lane, keyMember(lane, key)]);
      const args = [generation, `${this.patterns.known}`, ...subjects];
      const reply = await session.run(READ, [...this.keys.log, ...names], args);
      if (!Array.isArray(reply)) {
        for (const { found } of wanted) found(undefined);
        return;
      }
      const [unknown, ...entries] = listOf(reply);
      this.patterns.learnAll(textsOf(unknown));
      for (const [at, { found }] of wanted.entries()) found(entryOf(entries[at]));
    } catch (error) {
      for (const { failed } of wanted) failed(error);
    }
  }
}

function entryOf(reply: unknown): ServerEntry | undefined {
  if (!Array.isArray(reply)) return undefined;
  const [birth, lifeLeftMs, record] = reply;
  return { birth: numberOf(birth), lifeLeftMs: numberOf(lifeLeftMs), record: bytesOf(record) };
}
