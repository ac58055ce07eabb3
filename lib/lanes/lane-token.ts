/**
 * Injection token of the app's default manager; `CacheManager` is an alias of it.
 *
 * Like every token of the library it is a registered symbol, so that the ESM and the CommonJS copy of the package agree.
 */
export const LANE_CACHE: unique symbol = Symbol.for('nestjs-lane-cache.default-lane');

/** Injection token of one lane's manager. */
export function getLaneToken(lane: string): symbol {
  return Symbol.for(`nestjs-lane-cache.lane.${lane}`);
}
