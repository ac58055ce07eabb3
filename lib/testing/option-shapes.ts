import { settings } from '../app/options.js';
import { fromZero, finite, flag, rate } from '../options/kinds.js';
import { defineOptions } from '../options/options-shape.js';
import type { ChaosPlan } from './chaos-tier.js';

export const CHAOS_PLAN = defineOptions<ChaosPlan>('A chaos plan', {
  failRate: rate,
  hang: flag,
  delayMs: fromZero,
  corruptRate: rate,
  seed: finite,
});

const IN_MEMORY = 'Everything is in memory here.';

/** What the module itself does not refuse. */
export const ELSEWHERE: Readonly<Record<string, string>> = { directory: IN_MEMORY, distributed: IN_MEMORY };
export const TESTED = Object.keys(settings);
