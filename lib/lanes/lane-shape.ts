import { count, either, flag, kindOf, listOf, objectWith, oneOf, text, type Kind } from '../options/kinds.js';
import { defineOptions } from '../options/options-shape.js';
import { duration, freshness, isolation, period, sizeAboveZero } from './option-kinds.js';
import type { DiskTierPolicy, DistributedTierPolicy, LanePolicyInput, MemoryTierPolicy } from './policy.js';
import type { LaneStrategy } from './strategy.js';
import type { Size } from './units.js';

const LONGEST_TEXT = 512;

const phrases = listOf(
  kindOf('', (value): value is string => typeof value === 'string' && value !== '' && value.length <= LONGEST_TEXT),
  `strings of 1 to ${LONGEST_TEXT} characters`,
);

/** Two numbers, from and to, of 0 to `highest`. */
function range(highest: number): Kind<readonly [number, number]> {
  const upTo = highest === Infinity ? '0 or more' : `0 to ${highest}`;
  return kindOf(`[from, to], two numbers of ${upTo}`, (value): value is [number, number] => {
    if (!Array.isArray(value) || value.length !== 2) return false;
    const [from, to]: readonly unknown[] = value;
    return (
      typeof from === 'number' && typeof to === 'number' && from >= 0 && from <= to && to <= highest && to < Infinity
    );
  });
}

const memory = { maxEntries: count, maxBytes: sizeAboveZero };
const disk = defineOptions<DiskTierPolicy>('A lane', { enabled: flag, ...memory });

/** A lane as an app writes it down. */
export const LANE = defineOptions<LanePolicyInput>(
  'A lane',
  {
    extends: text,
    description: text,
    useCases: phrases,
    l1: defineOptions<MemoryTierPolicy>('A lane', memory),
    l2: disk,
    l3: disk,
    l4: defineOptions<DistributedTierPolicy>('A lane', { enabled: flag, coalesce: oneOf('process', 'cluster') }),
    maxEntryBytes: sizeAboveZero,
    ttl: duration,
    compression: either(flag, defineOptions<{ readonly minBytes?: Size }>('A lane', { minBytes: sizeAboveZero })),
    isolation,
    strategy: objectWith<LaneStrategy>(
      'an object with shouldCache and getEvictionPriority',
      'shouldCache',
      'getEvictionPriority',
    ),
    include: phrases,
    exclude: phrases,
    targets: defineOptions<NonNullable<LanePolicyInput['targets']>>('A lane', {
      hitRate: range(100),
      speedUp: range(Infinity),
    }),
    ...freshness(duration, period),
  },
  { code: 'LANE_INVALID' },
);
