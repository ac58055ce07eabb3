/**
 * For apps that check their health with `@nestjs/terminus`.
 *
 * @module nestjs-lane-cache/health
 */
export { LaneCacheHealthIndicator } from '../http/lane-cache.health.js';
export type { HealthOptions, HealthResult } from '../http/lane-cache.health.js';
