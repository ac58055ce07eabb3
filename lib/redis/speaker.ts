import { memberOf, inUtf8, packTags } from './subject.js';
import type { KeySpace } from './keys.js';
import { SAY } from './log-scripts.js';
import { PATTERNS_ON_SERVER } from './recent-patterns.js';
import { type RedisArgument, listOf, numberOf } from './client/redis-client.js';
import type { Session } from './client/connection.js';
import type { Utterance, UtteredEntry } from './utterance.js';

/** Positions of keys, and of tags, that the server remembers before it raises the floor. */
const POSITIONS_ON_SERVER = 100_000;

/** What the server answered: it has it, or it has begun another generation. */
export type Saying =
  | { readonly outcome: 'said'; readonly sequence: number; readonly held: boolean }
  | { readonly outcome: 'other-generation' };

/** Says one record, and with it the entry of a set. Rejects when it is not known to have been said. */
export async function say(
  session: Session,
  keys: KeySpace,
  utterance: Utterance,
  settings: { readonly generation: string; readonly logLength: number },
): Promise<Saying> {
  const { record, by, entry } = utterance;
  const { kind, lane, subject } = record;
  const { generation, logLength } = settings;
  const bounds = [`${logLength}`, `${POSITIONS_ON_SERVER}`, `${PATTERNS_ON_SERVER}`];
  const target = kind === 'key' || kind === 'expire' ? keys.entry(generation, lane ?? '', subject) : keys.meta;
  const args = [generation, by, kind, lane ?? '', inUtf8(subject), memberOf(record), ...bounds];
  const value = entry === undefined ? [] : valueOf(entry);
  utterance.entry = undefined;
  const reply = await session.run(SAY, [...keys.log, target], [...args, ...value]);
  if (!Array.isArray(reply)) return { outcome: 'other-generation' };
  const [sequence, gone] = listOf(reply);
  return { outcome: 'said', sequence: numberOf(sequence), held: numberOf(gone) > 0 };
}

function valueOf({ lifeMs, tags, record, known }: UtteredEntry): readonly RedisArgument[] {
  return [`${lifeMs}`, packTags(tags), record, `${known.sequence}`, `${known.patterns}`];
}
