import { bytesText, countText, many, percentText, spanText } from '../../lib/texts/amounts.js';

export { bytesText, countText, many, percentText, spanText };

const TIME = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** In the zone of the reader. */
export const timeText = (at: number | string): string => TIME.format(new Date(at));

/** '3.4 min ago' */
export function agoText(at: number | string, now = Date.now()): string {
  const ms = Math.max(0, now - new Date(at).getTime());
  return ms < 1_000 ? 'just now' : `${spanText(Math.round(ms / 1_000) * 1_000)} ago`;
}

/** A rate with as many digits as it needs. */
export const rateText = (perSecond: number): string =>
  perSecond === 0 ? '0' : perSecond < 10 ? perSecond.toFixed(1) : countText(Math.round(perSecond));

/** What is not to be seen: control characters, those that turn the direction of text, and spaces at the ends. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u{D800}-\u{DFFF}]|^\p{Zs}+|\p{Zs}+$/gu;
const LONGEST = 400;

/** A text of the app's own, on one line and not endless. */
export function shown(text: string, longest = LONGEST): string {
  const cut = text.length > longest ? `${text.slice(0, longest / 2)}…${text.slice(-longest / 2)}` : text;
  return cut.replace(HIDDEN, (found) =>
    Array.from(found, (one) => `\\u{${(one.codePointAt(0) ?? 0).toString(16)}}`).join(''),
  );
}

/** Codes of findings as titles. */
const TITLES: Readonly<Record<string, string>> = {
  TIER_OFF: 'A tier is off',
  TIER_ERRORS: 'A tier has failed',
  NOT_USED: 'Requests go past the cache',
  NOT_STORED: 'Values are not stored',
  NO_HITS: 'Nothing is found',
  POOR_HIT_RATE: 'Little is found',
  COMPUTE_FAILING: 'Computations fail',
  STALE_SERVED: 'Old values are served',
  OLD_VALUES: 'Values live long',
  HIGH_MEMORY: 'Memory is nearly full',
  CLOCK: 'The clock went back',
  CHECKPOINTS_OFF: 'Checkpoints are off',
  CHECKPOINTS_PILED_UP: 'Old checkpoints pile up',
  DIRECTORY_PERMISSIONS: 'The directory is open to others',
  DIRECTORY_NOT_WRITABLE: 'The directory cannot be written',
  NETWORK_FILE_SYSTEM: 'The directory is on a network',
  DISK_SPACE: 'The disk is nearly full',
  QUARANTINE: 'Damaged files were set aside',
  EVICTION: 'Another eviction saves more time',
  COLLABORATOR_FAILS: 'Code of the app fails',
  DIRECTORY_UNSUITABLE: 'The directory cannot hold a cache',
  FORMAT: 'The files are of another release',
  OWNER_SILENT: 'The owner of the directory does not answer',
  HOST_LOG_LOST: 'The shared log was lost',
};

export const titleOf = (code: string): string => TITLES[code] ?? code.toLowerCase().replaceAll('_', ' ');

/** Why a tier is off. */
const OFF: Readonly<Record<string, string>> = {
  policy: 'not used by this lane',
  'no-directory': 'the app has no directory',
  'in-use': 'another process owns the directory',
  breaker: 'it failed, and is tried again',
  'disk-full': 'the disk is full',
  'read-only': 'the directory is read-only',
  quarantined: 'it is being emptied',
  disconnected: 'the server cannot be reached',
  closed: 'the cache is closed',
};

export const offText = (reason: string | undefined): string => OFF[reason ?? ''] ?? reason ?? 'off';
