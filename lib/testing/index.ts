/** For tests of apps that use the cache, and of tiers that others write. */
export { ChaosError, chaosTier, type ChaosPlan } from './chaos-tier.js';
export { FakeClock } from './fake-clock.js';
export { tierContract, type TestApi } from './tier-contract.js';
