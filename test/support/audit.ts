import assert from 'node:assert/strict';
import { type LaneApp, openFlights } from './lane-app.js';

/** Sums that must hold at every moment; what does not, in words. */
export function unevenNumbers(app: LaneApp): string[] {
  const wrong: string[] = [];
  for (const lane of app.lanes) {
    const metrics = app.manager(lane).getMetrics();
    const { l1, l2, l3, l4, misses, joined, requests } = metrics;
    const bypassed = Object.values(metrics.bypassed).reduce((sum, count) => sum + count, 0);
    const say = (what: string): number => wrong.push(`${lane}: ${what}`);
    if (requests !== l1.hits + l2.hits + l3.hits + l4.hits + misses + bypassed) say('requests do not add up');
    if (l1.hits + l1.misses !== requests - bypassed) say('look-ups of l1 do not follow from the requests');
    if (joined > misses) say('more joined than missed');
    if (l2.hits + l2.misses > l1.misses - joined) say('l2 was asked more often than l1 missed');
    const space = app.memory.space(lane);
    const entries = [...space.values()];
    const { sizeBytes } = space.usage();
    const values = entries.reduce((sum, entry) => sum + entry.sizeBytes, 0);
    if (space.usage().entries !== entries.length) say('entries of l1 do not add up');
    if (sizeBytes < values || (entries.length === 0 && sizeBytes > 0)) say('bytes of l1 do not add up');
    const guards = app.log.lane(lane).openFlights;
    if (guards < openFlights(app.manager(lane))) say('a flight runs without a guard');
  }
  return wrong;
}

/** What is left over although nothing is under way any more; in words. */
export function leftovers(app: LaneApp): string[] {
  const left: string[] = [];
  for (const lane of app.lanes) {
    const { openFlights: guards, pendingRemovals } = app.log.lane(lane);
    const flights = openFlights(app.manager(lane));
    if (flights > 0) left.push(`${lane}: ${flights} flights`);
    if (guards > 0) left.push(`${lane}: ${guards} guards`);
    if (pendingRemovals > 0) left.push(`${lane}: ${pendingRemovals} pending removals`);
  }
  if (app.clock.pending > 0) left.push(`${app.clock.pending} timers`);
  return left;
}

/** To be called when a test has waited for everything it started. */
export function expectSound(app: LaneApp): void {
  assert.deepEqual([...unevenNumbers(app), ...leftovers(app)], []);
}
