/**
 * For tests of apps that use the cache, and of tiers that others write.
 *
 * @module nestjs-lane-cache/testing
 */
export { ChaosError, chaosTier, type ChaosPlan } from './chaos-tier.js';
export { expectCached, type CachedAssertions } from './expect-cached.js';
export { FakeClock } from './fake-clock.js';
export { LaneCacheTestingModule, type LaneCacheTestingOptions } from './lane-cache-testing.module.js';
export { tierContract, type TestApi } from './tier-contract.js';
