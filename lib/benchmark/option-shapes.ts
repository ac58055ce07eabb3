import { size } from '../lanes/option-kinds.js';
import { count, signal } from '../options/kinds.js';
import { defineOptions } from '../options/options-shape.js';
import type { PerformanceOptions } from './measure-performance.js';

export const PERFORMANCE_OPTIONS = defineOptions<PerformanceOptions>('measureCachePerformance', {
  iterations: count,
  keys: count,
  valueBytes: size,
  signal,
});
