import { fn, nonEmpty, required, whole } from '../../options/kinds.js';
import { defineOptions } from '../../options/options-shape.js';
import type { CacheableType } from './class-kinds.js';

export const CACHEABLE_TYPE = defineOptions<CacheableType>('A listed type', {
  type: required(fn),
  name: nonEmpty,
  version: whole,
  migrate: fn,
});
