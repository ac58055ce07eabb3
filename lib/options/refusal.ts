import type { LaneCacheErrorCode } from '../errors/lane-cache.error.js';

/** What is wrong with an option, thrown on the way to the bag that makes an error of it. */
export class Refusal {
  constructor(
    readonly path: string,
    /** What follows the name of the option. */
    readonly problem: string,
    readonly code?: LaneCacheErrorCode,
    readonly cause?: unknown,
  ) {}
}

export const wrong = (wants: string, value: unknown): string => `must be ${wants}, not ${shown(value)}`;

/** Short, and never by code of the value's own. */
function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 64)}'`;
  if (typeof value === 'symbol' || typeof value === 'function') return `a ${typeof value}`;
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'that list' : 'that object';
  return String(value).slice(0, 64);
}
