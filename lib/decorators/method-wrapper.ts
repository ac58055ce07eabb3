import 'reflect-metadata';
import { Logger, Inject, Optional } from '@nestjs/common';
import type { LaneManager } from '../cache/lane-manager.js';
import { type AsyncMethod, decorationSite, siteLabel, type DecorationSite } from './method-registry.js';
import { completed } from './stand-in.js';
import { LANE_CACHE } from '../lanes/policy.js';

const WARNED = 'nestjs-lane-cache:warned';

/** One call of a decorated method. */
export interface MethodCall {
  readonly host: object;
  readonly args: readonly unknown[];
  /** The method as it was written. */
  readonly run: () => unknown;
}

/** What a decorator does with a call, given the manager of the app's default lane. */
export type Advice = (manager: LaneManager, call: MethodCall) => Promise<unknown>;

/** A decorator of methods. `adviceOf` is called when the class is declared. `name` begins with the `@`. */
export function methodDecorator(name: string, adviceOf: (site: DecorationSite) => Advice) {
  return <M extends AsyncMethod>(
    target: object,
    method: string | symbol,
    descriptor: TypedPropertyDescriptor<M>,
  ): TypedPropertyDescriptor<M> => {
    const site = decorationSite(name, target, method, descriptor);
    return wrapMethod(site, descriptor, adviceOf(site));
  };
}

/**
 * Wraps `advice` around a method, and has Nest inject the manager into its instances. The wrapper has the name, length
 * and metadata of the method, so that routes, guards and other decorators work in either order.
 */
function wrapMethod<M extends AsyncMethod>(
  site: DecorationSite,
  descriptor: TypedPropertyDescriptor<M>,
  advice: Advice,
): TypedPropertyDescriptor<M> {
  injectManager(site.prototype);
  const { original } = site;
  const wrapper = function (this: Managed | undefined, ...args: unknown[]): Promise<unknown> {
    const run = (): unknown => Reflect.apply(original, this, args);
    try {
      const manager = this?.[INJECTED];
      if (this !== undefined && manager !== undefined) return advice(manager, { host: this, args, run });
      warnUnmanaged(site, this);
      return Promise.resolve(run());
    } catch (error) {
      return Promise.reject(error);
    }
  };
  copyIdentity(wrapper, original);
  return Object.assign(descriptor, { value: wrapper });
}

function copyIdentity(wrapper: object, original: AsyncMethod): void {
  for (const property of ['name', 'length'] as const) {
    Object.defineProperty(wrapper, property, { value: original[property], configurable: true });
  }
  for (const key of Reflect.getMetadataKeys(original)) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, original), wrapper);
  }
}

/** Warns once per class. An instance that Nest did not create has no cache; that is no reason to fail. */
function warnUnmanaged(site: DecorationSite, host: object | undefined): void {
  const type = host?.constructor ?? site.prototype.constructor;
  if (Reflect.hasOwnMetadata(WARNED, type)) return;
  Reflect.defineMetadata(WARNED, true, type);
  new Logger('LaneCache').warn(
    `${siteLabel(site)} runs uncached: this ${type.name} was not made by Nest, or the app does not import LaneCacheModule. Provide the class in a module instead of calling new.`,
  );
}

/** The property of an instance with decorated methods that holds the manager of its app. */
export const INJECTED = Symbol.for('nestjs-lane-cache.manager');

/** An instance that may have a manager. */
export interface Managed {
  [INJECTED]?: LaneManager;
}

/**
 * Makes Nest set the manager on every instance of the class that owns `prototype`.
 *
 * The prototype gets a setter that defines a non-enumerable property on the instance: two instances that differ only in
 * their app still compare equal, and JSON, spreading and inspection do not show it.
 */
function injectManager(prototype: object): void {
  if (INJECTED in prototype) return;
  Object.defineProperty(prototype, INJECTED, {
    configurable: true,
    get: () => undefined,
    set(this: object, manager: LaneManager) {
      setManager(this, manager);
    },
  });
  Inject(LANE_CACHE)(prototype, INJECTED);
  Optional()(prototype, INJECTED);
}

/** False if the instance accepts no new properties. */
export function setManager(instance: object, manager: LaneManager): boolean {
  return Reflect.defineProperty(instance, INJECTED, { value: completed(manager), configurable: true, writable: true });
}
