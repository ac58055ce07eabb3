import { anything, coded, either, flag, fn, kindOf, text } from '../options/kinds.js';
import { defineOptions } from '../options/options-shape.js';
import type { KeyvEntry } from './lane-keyv-store.js';

/** What stands for none here is what it is for Keyv. */
export const milliseconds = coded(
  'TTL_INVALID',
  kindOf('a number of MILLISECONDS', (value): value is number => typeof value === 'number' && !Number.isNaN(value)),
);

export const STORE_OPTIONS = defineOptions<{ readonly namespace?: string }>('laneKeyvStore', { namespace: text });

export const KEYV_ENTRY = defineOptions<KeyvEntry>('An entry of setMany', {
  key: anything,
  value: anything,
  ttl: milliseconds,
});

const span = either(milliseconds, fn);

export const WRAP_OPTIONS = defineOptions<{
  readonly ttl?: number;
  readonly refreshThreshold?: number;
  readonly raw?: boolean;
}>('wrap', { ttl: span, refreshThreshold: span, raw: flag });
