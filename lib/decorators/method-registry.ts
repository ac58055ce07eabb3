import 'reflect-metadata';
import type { DecorationSite } from './decoration-site.js';
import type { Template } from './template.js';

// a string, so that the ESM and the CommonJS copy read each other's
const METHODS = 'nestjs-lane-cache:methods';

/** What a decorator leaves behind for the checks at boot and for `keyFor`. */
export interface DecoratedMethod {
  readonly site: DecorationSite;
  readonly lane: string | undefined;
  readonly templates: readonly Template[];
  /** Only of `@Cached`. */
  readonly cached?: CachedMethod;
}

export interface CachedMethod {
  /** What the default keys of `type` begin with; undefined when the decorator gives a key of its own. */
  readonly prefixFor: ((type: ClassReference) => string) | undefined;
  /** Undefined if the arguments give no key. */
  readonly keyFor: (type: ClassReference, args: readonly unknown[]) => string | undefined;
}

export interface ClassReference {
  readonly name: string;
  readonly prototype: unknown;
}

export function register(method: DecoratedMethod): void {
  const { prototype } = method.site;
  Reflect.defineMetadata(METHODS, [...declaredBy(prototype), method], prototype);
}

/** Whether `value` is an object with decorated methods, its own or inherited. */
export function hasDecoratedMethods(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Reflect.getMetadata(METHODS, value) !== undefined;
}

/** All decorated methods that an instance of `prototype` may run, the most derived first, overridden ones included. */
export function decoratedMethods(prototype: unknown): readonly DecoratedMethod[] {
  const found: DecoratedMethod[] = [];
  for (let at = prototype; typeof at === 'object' && at !== null; at = Object.getPrototypeOf(at)) {
    found.push(...declaredBy(at));
  }
  return found;
}

function declaredBy(prototype: object): readonly DecoratedMethod[] {
  const declared: readonly DecoratedMethod[] | undefined = Reflect.getOwnMetadata(METHODS, prototype);
  return declared ?? [];
}
