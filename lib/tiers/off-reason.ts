import type { TierOffReason } from '../events/reasons.js';
import type { StorageFaultKind } from '../storage/environment.js';

const REASONS: Partial<Record<StorageFaultKind, TierOffReason>> = {
  'disk-full': 'disk-full',
  'read-only': 'read-only',
  'not-permitted': 'read-only',
  damaged: 'quarantined',
};

/** As what a fault of the disk shows in the state of what lies there. */
export function offReasonOf(kind: StorageFaultKind): TierOffReason {
  return REASONS[kind] ?? 'breaker';
}
