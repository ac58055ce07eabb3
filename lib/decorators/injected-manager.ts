import { Inject, Optional } from '@nestjs/common';
import type { LaneManager } from '../cache/lane-manager.js';
import { LANE_CACHE } from '../lanes/lane-token.js';

/** The property under which an instance with decorated methods carries the manager of its app. */
export const INJECTED = Symbol.for('nestjs-lane-cache.manager');

/** What may carry a manager. */
export interface Managed {
  [INJECTED]?: LaneManager;
}

/**
 * Has Nest set the manager on every instance of the class that owns `prototype`.
 *
 * The prototype gets a setter that defines the instance's own property as not enumerable: two instances that differ
 * only in their app still compare equal, and JSON, spreading and inspection don't see it.
 */
export function injectManager(prototype: object): void {
  if (INJECTED in prototype) return;
  Object.defineProperty(prototype, INJECTED, {
    configurable: true,
    get: () => undefined,
    set(this: object, manager: LaneManager) {
      giveManager(this, manager);
    },
  });
  Inject(LANE_CACHE)(prototype, INJECTED);
  Optional()(prototype, INJECTED);
}

/** Whoever has none was not made by Nest, or lives in an app without the module. False if the instance is closed to new properties. */
export function giveManager(instance: object, manager: LaneManager): boolean {
  return Reflect.defineProperty(instance, INJECTED, { value: manager, configurable: true, writable: true });
}
