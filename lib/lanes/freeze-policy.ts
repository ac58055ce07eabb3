import type { CachePolicy } from './policy.js';

/** Freezes a policy and all below it, in place. */
export function freezePolicy(policy: CachePolicy): CachePolicy {
  freezeBelow(policy);
  return policy;
}

function freezeBelow(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  Object.values(value).forEach(freezeBelow);
}
