import type { LaneManager } from '../cache/lane-manager.js';
import { withDeadline } from '../clock/clock.js';
import type { BypassReason } from '../events/reasons.js';
import type { VaryName } from './cache-response-options.js';
import type { Exchange } from './exchange.js';
import type { Route } from './route.js';

// Decides who asks, and so with whom an answer may be shared.

/** Who asks. */
export type Requester =
  /** Nothing identifies the sender: the request shares answers with all others of that kind. */
  | { readonly kind: 'anyone' }
  /** The route says that its answers are the same for all. */
  | { readonly kind: 'all' }
  | { readonly kind: 'named'; readonly names: readonly VaryName[] }
  /** The sender cannot be known, so nothing is shared. */
  | { readonly kind: 'unknown'; readonly reason: BypassReason };

/** Whom a stored answer may be given to. */
export type KnownRequester = Exclude<Requester, { readonly kind: 'unknown' }>;

const ANYONE: Requester = Object.freeze({ kind: 'anyone' });
const ALL: Requester = Object.freeze({ kind: 'all' });
const NO_NAME: Requester = Object.freeze({ kind: 'unknown', reason: 'no-name' });
const PERSONAL: Requester = Object.freeze({ kind: 'unknown', reason: 'personal' });
const LONGEST_WAIT_MS = 1_000;

/** Never rejects: a `varyBy` that fails leaves the requester unknown, with one warning. */
export async function requesterOf(route: Route, exchange: Exchange, lane: LaneManager): Promise<Requester> {
  const { varyBy, shared } = route.rules;
  if (varyBy !== undefined) return named(route, exchange, lane);
  if (shared === true) return ALL;
  if (exchange.isPersonal) return PERSONAL;
  return route.isGuarded ? NO_NAME : ANYONE;
}

/** Whether the answer to this request may be kept for `requester`, now that it is made. */
export function isStillSharedBy(requester: KnownRequester, exchange: Exchange): boolean {
  if (requester.kind === 'all') return true;
  return !exchange.hasOtherUser && (requester.kind === 'named' || !exchange.isPersonal);
}

async function named({ rules, label }: Route, exchange: Exchange, lane: LaneManager): Promise<Requester> {
  try {
    const returned: unknown = rules.varyBy?.(exchange.request);
    const given = isThenable(returned)
      ? await withDeadline(lane.clock, Promise.resolve(returned), LONGEST_WAIT_MS, 'varyBy')
      : returned;
    const names: readonly unknown[] = Array.isArray(given) ? given : [given];
    if (names.some(isNonsense)) {
      warn(lane, label, 'returned what names nobody. Return texts, numbers or booleans, such as an id');
      return NO_NAME;
    }
    return names.length > 0 && names.every(isName) ? { kind: 'named', names } : NO_NAME;
  } catch (error) {
    warn(lane, label, `failed (${error instanceof Error ? error.name : typeof error})`);
    return NO_NAME;
  }
}

function warn(lane: LaneManager, label: string, problem: string): void {
  lane.warnOnce(
    `${label} varyBy`,
    `varyBy of @CacheResponse on ${label} ${problem}. Such requests go past the cache (bypassed 'no-name').`,
  );
}

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && typeof Reflect.get(value, 'then') === 'function';

const isName = (name: unknown): name is VaryName =>
  (typeof name === 'string' && name !== '') ||
  (typeof name === 'number' && Number.isFinite(name)) ||
  typeof name === 'boolean';

/** A missing name is usual, such as that of a request without a token; anything else is a mistake. */
const isNonsense = (name: unknown): boolean => name !== undefined && name !== null && name !== '' && !isName(name);
