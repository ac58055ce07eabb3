import 'reflect-metadata';
import type { Template } from './template.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';

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

interface CachedMethod {
  /** The prefix of the default keys of `type`. Undefined when the decorator has its own key. */
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

/** What can be cached: a method that gives a promise. */
export type AsyncMethod = (...args: never[]) => Promise<unknown>;

/** A decorator that other methods don't compile with. */
export type AsyncMethodDecorator = <M extends AsyncMethod>(
  target: object,
  name: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => TypedPropertyDescriptor<M>;

/** A decorator of any method. */
export type AnyMethodDecorator = <M extends (...args: never[]) => unknown>(
  target: object,
  name: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => TypedPropertyDescriptor<M>;

/** The method that a decorator is on. */
export interface DecorationSite {
  /** With its `@`. */
  readonly decorator: string;
  /** The prototype that declares the method. */
  readonly prototype: object;
  readonly method: string | symbol;
  /** The method as it was found: as written, or as another decorator left it. */
  readonly original: AsyncMethod;
}

/** As texts name it: `@Cached on Docs.render`. */
export function siteLabel(site: DecorationSite): string {
  return `${site.decorator} on ${site.prototype.constructor.name}.${String(site.method)}`;
}

export function decoratorError(site: DecorationSite, problem: string): LaneCacheError {
  return new LaneCacheError('DECORATOR_INVALID', `${siteLabel(site)}: ${problem}`);
}

/** Checks that the decorator is on an instance method, under TypeScript's `experimentalDecorators`. */
export function decorationSite(
  decorator: string,
  target: unknown,
  method: unknown,
  descriptor: { readonly value?: AsyncMethod | undefined } | undefined,
): DecorationSite {
  const invalid = (problem: string) => new LaneCacheError('DECORATOR_INVALID', `${decorator} ${problem}`);
  if (typeof method !== 'string' && typeof method !== 'symbol') {
    throw invalid(`needs "experimentalDecorators": true in tsconfig.json, as Nest itself does.`);
  }
  if (typeof target === 'function') {
    throw invalid(
      `cannot decorate the static method ${target.name}.${String(method)}: nothing is injected into a class itself. Make it an instance method of a provider.`,
    );
  }
  if (typeof target !== 'object' || target === null || typeof descriptor?.value !== 'function') {
    throw invalid(`can only decorate a method; '${String(method)}' is none.`);
  }
  return { decorator, prototype: target, method, original: descriptor.value };
}

/**
 * The prefix of the default keys of one `@Cached` method: `Class.method`, after the class of the instance and not
 * the one that declares the method, so that two subclasses don't share entries.
 *
 * An overridden method that runs through `super` gets its own prefix: with the prefix of the overriding method it would
 * wait for the computation of which it is a part.
 */
export class MethodPrefix {
  private readonly byClass = new WeakMap<ClassReference, string>();

  constructor(
    private readonly site: DecorationSite,
    private readonly name: string | undefined,
  ) {}

  of(type: ClassReference): string {
    if (this.name !== undefined) return this.name;
    let prefix = this.byClass.get(type);
    if (prefix === undefined) {
      prefix = this.build(type);
      this.byClass.set(type, prefix);
    }
    return prefix;
  }

  private build(type: ClassReference): string {
    const { method, prototype } = this.site;
    const ownMethod = `${type.name}.${String(method)}`;
    const foremost = decoratedMethods(type.prototype).find(
      (other) => other.cached !== undefined && other.site.method === method,
    );
    if (foremost === undefined || foremost.site.prototype === prototype) return ownMethod;
    return `${ownMethod}>${prototype.constructor.name}`;
  }
}
