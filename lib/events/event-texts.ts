import type { LaneCacheEventMap } from './event-map.js';
import type { TierName } from '../entries/tier-name.js';
import { bytesText, many } from '../texts/amounts.js';
import type { TierOffReason } from './reasons.js';

type EventOf<N extends keyof LaneCacheEventMap> = LaneCacheEventMap[N];

const LONGEST_SHOWN = 120;

const ADVICE: Readonly<Record<TierOffReason, string>> = {
  policy: '',
  'no-directory': "Set 'directory' if entries should reach the disk.",
  'in-use': 'Another process owns the directory; this one takes over when that one ends.',
  breaker: 'It failed, and is tried again by itself. If it stays off, look at the disk or the server.',
  'disk-full': "Free some space on the volume, or lower 'storage.minFreeBytes'.",
  'read-only': 'Make the directory writable for this user.',
  quarantined: 'What was damaged has been set aside; nothing needs to be done unless it happens again.',
  disconnected: 'It reconnects by itself; if it stays off, check the server and its address.',
  closed: '',
};

/** A key in a text: quoted, escaped, cut when long. */
function shownKey(key: string): string {
  return visibleText(JSON.stringify(key.length > LONGEST_SHOWN ? `${key.slice(0, LONGEST_SHOWN)}…` : key));
}

export function tierText({ tier, state, reason, detail, error }: EventOf<'tier'>): string {
  const place = tier === 'checkpoints' ? 'Checkpoints are' : `Tier ${tier} is`;
  if (reason === 'closed') return `${place} closed.`;
  if (reason === 'policy') return sentences(`${place} not used`, detail);
  const found = causeText(error);
  const cause = detail.includes(found) ? '' : found;
  if (state === 'on') return sentences(`${place} on`, detail, cause);
  const loss =
    tier === 'checkpoints'
      ? 'Nothing can be saved meanwhile, and restoring may fail.'
      : 'The app goes on without it: values are computed more often.';
  const why = reason === undefined ? '' : ` (${reason})`;
  return sentences(`${place} off${why}`, detail, cause, loss, reason === undefined ? '' : ADVICE[reason]);
}

export function ownerText({ directory, state, ownerPid }: EventOf<'owner'>): string {
  const owner = ownerPid === undefined ? 'another process' : `process ${ownerPid}`;
  const texts: Readonly<Record<typeof state, string>> = {
    owned: `This process owns the cache directory '${directory}'.`,
    waiting: `The cache directory '${directory}' belongs to ${owner}. This process shares it: invalidations, entries and checkpoints. It takes over when that one ends.`,
    'taken-over': `This process has taken over the cache directory '${directory}', because its owner has ended.`,
    refused: `The cache directory '${directory}' was removed, and ${owner} has made it anew. This process goes on without its persistent tier and checkpoints until that one has ended.`,
  };
  return texts[state];
}

export function hostText({ directory, state, error }: EventOf<'host'>): string {
  const texts: Readonly<Record<typeof state, string>> = {
    on: `The processes that use the cache directory '${directory}' share their invalidations.`,
    off: `The log of the cache directory '${directory}' cannot be used. The processes that use it do not get each other's invalidations. This one serves nothing that it had cached before. It tries again by itself.`,
    lost: `The log of the cache directory '${directory}' was removed, damaged or given up on a full disk. Everything that was cached before was dropped.`,
  };
  return sentences(texts[state], causeText(error));
}

export function quarantineText({ directory, movedTo, cause }: EventOf<'quarantine'>): string {
  // each cause begins with what lay there
  const loss = cause.startsWith('checkpoints:')
    ? 'Checkpoints that lay there are not restored any more, and are never deleted by the library'
    : 'Entries are computed again';
  return sentences(
    `The cache directory '${directory}' was damaged`,
    cause,
    `It was moved to '${movedTo}' and a fresh one started`,
    loss,
    'Check the disk if this repeats',
  );
}

export function refusalText({ lane, key, reason, detail }: EventOf<'refuse'>): string {
  const remedy =
    reason === 'unstorable'
      ? "Return plain data, list the class under 'types', or call ctx.skipCache()."
      : "Return less, or raise the lane's 'maxEntryBytes'.";
  return sentences(
    `Lane '${lane}' cannot store the value of ${shownKey(key)} (${reason})`,
    detail,
    'It is computed at every call',
    remedy,
    'Further keys of this lane are only counted.',
  );
}

export function checkpointText({ action, id, version }: EventOf<'checkpoint'>): string {
  const subject = `Version ${version} of checkpoint ${shownKey(id)}`;
  if (action !== 'damaged') return `${subject} was ${action}.`;
  return `${subject} is damaged and was set aside. Restore with { fallback: true } to get the newest sound version.`;
}

export function sweepText(report: EventOf<'sweep'>): string {
  const { expired, evicted, orphanedSessions, quarantinesRemoved, freedBytes, durationMs } = report;
  const leftovers = orphanedSessions + quarantinesRemoved;
  const also = leftovers === 0 ? '' : `, ${many(leftovers, 'leftover folder')} removed`;
  return `Swept: ${expired} expired and ${evicted} evicted${also}, ${bytesText(freedBytes)} freed in ${Math.round(durationMs)} ms.`;
}

export function workflowText({ action, workflow, removed = 0 }: EventOf<'workflow'>): string {
  const what = action === 'finished' ? 'was finished' : `was invalidated: ${many(removed, 'version')} removed`;
  return `Workflow ${shownKey(workflow)} ${what}.`;
}

export function warmText({ lane, source, state, total, computed, present, failed, error }: EventOf<'warm'>): string {
  const done = `${computed} computed, ${present} present, ${failed} failed, of ${total}`;
  const verb = { started: 'begins', running: 'goes on', done: 'is done', stopped: 'was stopped' }[state];
  return `Warming lane '${lane}' by ${source} ${verb}: ${done}.${error === undefined ? '' : ` First failure: ${causeText(error)}`}`;
}

export function cleanupText({ removed, bytes, pinnedKept, newestOfId }: EventOf<'cleanup'>): string {
  const pinned = pinnedKept === 0 ? '' : `; kept as pinned: ${pinnedKept}`;
  const newest =
    newestOfId === 0 ? '' : `; with the newest of ${many(newestOfId, 'id')}, which cannot be restored any more`;
  return `Checkpoint cleanup removed ${many(removed, 'version')} (${bytesText(bytes)})${newest}${pinned}.`;
}

/** An app that has just started, as its log names it. */
export interface StartedApp {
  readonly lanes: readonly string[];
  readonly defaultLane: string;
  /** false: memory only. */
  readonly directory: string | false;
  /** Undefined while the directory cannot be used. */
  readonly role: 'owner' | 'follower' | 'alone' | undefined;
  readonly tiers: readonly {
    readonly name: TierName;
    readonly state: { readonly state: 'on' | 'off'; readonly reason?: TierOffReason };
  }[];
  /** The server of l4, without user and password. */
  readonly server: string | undefined;
}

/** One line about an app that has started: its lanes, its directory and role, its tiers. */
export function startedText({ lanes, defaultLane, directory, role, tiers, server }: StartedApp): string {
  const named = lanes.map((lane) => (lane === defaultLane ? `${lane} (default)` : lane));
  const at = directory === false ? 'none' : `'${directory}' (${role ?? 'cannot be used now'})`;
  const each = tiers.map(({ name, state: { state, reason } }) => {
    const place = name === 'l4' && server !== undefined ? ` at ${server}` : '';
    if (state === 'on') return `${name} on${place}`;
    return reason === 'policy' || reason === 'no-directory'
      ? `${name} not used`
      : `${name} off${place}${reason === undefined ? '' : ` (${reason})`}`;
  });
  return visibleText(`Started. Lanes: ${named.join(', ')}. Directory: ${at}. Tiers: ${each.join(', ')}.`);
}

/** Any other event in one line: its name, then its fields. */
export function plainText(name: string, event: object): string {
  const parts = Object.entries(event)
    .filter(([field, value]) => field !== 'at' && value !== undefined)
    .map(([field, value]) => `${field}=${shownValue(value)}`);
  return [name, ...parts].join(' ');
}

function shownValue(value: unknown): string {
  if (typeof value === 'string') return shownKey(value);
  return value instanceof Error ? shownKey(value.message) : shownKey(String(value)).slice(1, -1);
}

/** What was thrown, as a sentence. */
export function causeText(error: unknown): string {
  if (error === undefined) return '';
  try {
    return error instanceof Error ? error.message : `Thrown: ${shownValue(error)}`;
  } catch {
    return 'Thrown: something that has no text.';
  }
}

/** Joins parts to sentences, each with a capital and a full stop. */
function sentences(...parts: readonly string[]): string {
  return parts
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => `${part.charAt(0).toUpperCase()}${part.slice(1)}${/[.!?…]$/.test(part) ? '' : '.'}`)
    .join(' ');
}

/** Controls of terminals and editors, old and new, among them those that turn the direction of writing. */
// oxlint-disable-next-line no-control-regex -- control characters in a key must not steer the reader's terminal
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** `text` with its control characters as one would write them in a program, so that it stays on its line. */
export function visibleText(text: string): string {
  return text.replaceAll(
    CONTROLS,
    (found) => SHORT[found] ?? `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
