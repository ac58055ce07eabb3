import type { EntryInfo } from '../cache/entry-listing.js';
import { KeyPattern } from '../entries/pattern.js';
import type { AppAccess } from './app-access.js';
import type { CommandContext } from './command-context.js';
import { CommandFailed, EXIT } from './exit.js';
import { countText, many, shown } from './texts.js';

/** `clear` removes every entry of a lane. */
export async function clear(context: CommandContext): Promise<void> {
  await context.with(async ({ operations }, app) => {
    const lane = context.options.lane ?? app.defaultLane;
    const report = await operations.metrics();
    const { l1, l2, l3 } = report.lanes[lane] ?? {};
    const entries = Math.max(l1?.entries ?? 0, l2?.entries ?? 0, l3?.entries ?? 0);
    const dryRun = context.options.dryRun === true;
    if (!dryRun) {
      await context.confirm(`Remove all entries of lane '${lane}' (about ${entries})?`);
      await operations.clear(lane);
    }
    context.show({ lane, entries, dryRun }, () => {
      const what = `${entries === 1 ? '1 entry' : `${countText(entries)} entries`} of lane '${lane}'`;
      return dryRun ? `Would remove ${what}.` : `Removed ${what}.`;
    });
  });
}

export interface InvalidationOptions {
  readonly key: string | undefined;
  readonly pattern?: string;
  readonly tag?: readonly string[];
}

/** `invalidate`: a key, a pattern, or tags, exactly one of the three. */
export async function invalidate(context: CommandContext, options: InvalidationOptions): Promise<void> {
  const { key, pattern, tag = [] } = options;
  if ([key, pattern, tag[0]].filter((one) => one !== undefined).length !== 1) {
    throw new CommandFailed(EXIT.badArguments, 'Give exactly one of a key, --tag and --pattern.');
  }
  await context.with(async (access, app) => {
    const { operations } = access;
    const lane = context.options.lane ?? app.defaultLane;
    const subject = key !== undefined ? { lane, key } : pattern !== undefined ? { lane, pattern } : { tags: tag };
    const what = describeSubject(subject);
    if (context.options.dryRun === true) {
      const would = await countMatches(access, lane, options);
      context.show(
        { ...subject, removed: would, dryRun: true },
        () => `Would invalidate ${what}: ${many(would, 'key')}.`,
      );
      return;
    }
    await context.confirm(`Invalidate ${what}?`);
    if (key !== undefined) {
      const removed = (await operations.invalidateKey(key, lane)) ? 1 : 0;
      context.show(
        { ...subject, removed, dryRun: false },
        () => `${what}: ${removed === 1 ? 'invalidated' : 'was not stored'}.`,
      );
    } else if (pattern !== undefined) {
      const removed = await operations.invalidatePattern(pattern, lane);
      context.show({ ...subject, removed, dryRun: false }, () => `${what}: ${many(removed, 'key')} removed.`);
    } else {
      await operations.invalidateTags(tag);
      context.show({ ...subject, dryRun: false }, () => `${what}: invalidated in all lanes.`);
    }
  });
}

type Subject = { readonly key: string } | { readonly pattern: string } | { readonly tags: readonly string[] };

function describeSubject(subject: Subject): string {
  if ('key' in subject) return `key '${shown(subject.key, 120)}'`;
  if ('pattern' in subject) return `pattern '${shown(subject.pattern, 120)}'`;
  return `${subject.tags.length === 1 ? 'tag' : 'tags'} ${subject.tags.map((tag) => `'${shown(tag, 60)}'`).join(', ')}`;
}

async function countMatches({ operations }: AppAccess, lane: string, options: InvalidationOptions): Promise<number> {
  const { key, pattern, tag = [] } = options;
  const asked = pattern === undefined ? undefined : new KeyPattern(pattern);
  const isNamed = (entry: EntryInfo): boolean =>
    entry.key === key ||
    asked?.matchesEntry(entry.key, entry.tags) === true ||
    tag.some((one) => entry.tags.includes(one));
  let matches = 0;
  for await (const batch of operations.entries(undefined, tag.length > 0 ? undefined : lane)) {
    matches += batch.filter(isNamed).length;
  }
  return matches;
}
