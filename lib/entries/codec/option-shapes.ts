import { fn, nonEmpty, required, whole } from '../../options/kinds.js';
import { optionsOf } from '../../options/options-shape.js';
import type { CacheableType } from './class-kinds.js';

export const CACHEABLE_TYPE = optionsOf<CacheableType>('A listed type', {
  type: required(fn),
  name: nonEmpty,
  version: whole,
  migrate: fn,
});
