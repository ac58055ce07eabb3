import 'reflect-metadata';
import { types } from 'node:util';
import type { ListedClasses } from '../entries/arguments.js';
import type { Template } from '../entries/template.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';

/** A method that can be cached: it returns a promise. */
export type AsyncMethod = (...args: never[]) => Promise<unknown>;

/**
 * An `AsyncMethod` of which nothing else is known. Options of this type fit every method, so that they can be declared
 * once and given to the decorators of several methods.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- only `any` is assignable to the arguments of every method
export type AnyAsyncMethod = (...args: any[]) => Promise<any>;

/** The class of a method of which nothing else is known. */
// oxlint-disable-next-line typescript/no-explicit-any -- as above, for `this`
export type AnyHost = any;

/** Its arguments. */
export type ArgumentsOf<M extends AsyncMethod> =
  IsUnknown<Parameters<M>> extends true ? Parameters<AnyAsyncMethod> : Parameters<M>;

/** Its awaited result. */
export type ResultOf<M extends AsyncMethod> =
  IsUnknown<Parameters<M>> extends true ? Awaited<ReturnType<AnyAsyncMethod>> : Awaited<ReturnType<M>>;

/** A function of a call's arguments, called with the instance of `C` as `this`. */
export type OfCall<R, M extends AsyncMethod = AnyAsyncMethod, C extends object = AnyHost> = (
  this: C,
  ...args: ArgumentsOf<M>
) => R;

/** A function of a call's result and arguments, called with the instance of `C` as `this`. */
export type OfResult<R, M extends AsyncMethod = AnyAsyncMethod, C extends object = AnyHost> = (
  this: C,
  result: ResultOf<M>,
  ...args: ArgumentsOf<M>
) => R;

/** Of the arguments of `AsyncMethod` itself, which is what the compiler infers where it sees no method. */
type IsUnknown<A extends readonly unknown[]> = number extends A['length']
  ? [A[number]] extends [never]
    ? true
    : false
  : false;

/**
 * A decorator of such methods; others do not compile with it. Of its two signatures the compiler applies the first.
 * From the last one it infers the method `M` and its class `C` for the options of a decorator.
 */
export interface AsyncMethodDecorator<M extends AsyncMethod = AnyAsyncMethod, C extends object = AnyHost> {
  <Any extends AsyncMethod>(
    target: object,
    name: string | symbol,
    descriptor: TypedPropertyDescriptor<Any>,
  ): TypedPropertyDescriptor<Any>;
  (target: C, name: string | symbol, descriptor: TypedPropertyDescriptor<M>): TypedPropertyDescriptor<M>;
}

/** A decorator of any method. */
export type AnyMethodDecorator = <M extends (...args: never[]) => unknown>(
  target: object,
  name: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => TypedPropertyDescriptor<M>;

/** The method that a decorator is applied to. */
export interface DecorationSite {
  /** Its name with the `@`. */
  readonly decorator: string;
  /** The prototype that declares the method. */
  readonly prototype: object;
  readonly method: string | symbol;
  /** The method as written, or as another decorator wrapped it. */
  readonly original: AsyncMethod;
}

/** Its name in error texts: `@Cached on Docs.render`. */
export function siteLabel(site: DecorationSite): string {
  return `${site.decorator} on ${site.prototype.constructor.name}.${String(site.method)}`;
}

export function decoratorError(site: DecorationSite, problem: string): LaneCacheError {
  return new LaneCacheError('DECORATOR_INVALID', `${siteLabel(site)}: ${problem}`);
}

/** Throws DECORATOR_INVALID unless the target is an instance method, under TypeScript's `experimentalDecorators`. */
export function decorationSite(
  decorator: string,
  target: unknown,
  method: unknown,
  descriptor: { readonly value?: AsyncMethod | undefined } | undefined,
): DecorationSite {
  const invalid = (problem: string) => new LaneCacheError('DECORATOR_INVALID', `${decorator} ${problem}`);
  if (method === undefined && typeof target === 'function') {
    throw invalid(`can only decorate a method, not the class ${target.name}.`);
  }
  if (typeof method !== 'string' && typeof method !== 'symbol') {
    throw invalid(`needs "experimentalDecorators": true in tsconfig.json, as Nest itself does.`);
  }
  if (typeof target === 'function') {
    throw invalid(
      `cannot decorate the static method ${target.name}.${String(method)}: nothing is injected into a class itself. Make it an instance method of a provider.`,
    );
  }
  if (typeof target !== 'object' || target === null || typeof descriptor?.value !== 'function') {
    throw invalid(`can only decorate a method; '${String(method)}' is not a method.`);
  }
  if (types.isGeneratorFunction(descriptor.value)) {
    throw invalid(
      `cannot decorate the generator ${String(method)}: the cache stores one result, not values that come one by one. Return a promise of a list.`,
    );
  }
  return { decorator, prototype: target, method, original: descriptor.value };
}

/** A metadata key; a string, so that the ESM and the CommonJS copy of the package share it. */
const METHODS = 'nestjs-lane-cache:methods';

/** Calls of a method that are computed ahead. */
export interface WarmRule {
  /** Lists of arguments, one for each call. Called with the instance as `this`, after the app has begun to serve and at each `at`. */
  readonly args: () => readonly (readonly unknown[])[] | Promise<readonly (readonly unknown[])[]>;
  /** A cron expression. Default: only after boot. */
  readonly at?: string;
  /** How many calls run at a time. Default 2. */
  readonly concurrency?: number;
}

/** What a decorator registers for the checks at boot and for `keyFor`. */
export interface DecoratedMethod {
  readonly site: DecorationSite;
  readonly lane: string | undefined;
  readonly templates: readonly Template[];
  /** The template of the keys, or ids, under which the method stores. */
  readonly storesUnder?: Template | undefined;
  /** Present for `@Cached` only. */
  readonly cached?: CachedMethod;
}

/** What a key is made from. */
export interface Call {
  readonly host: object;
  readonly args: readonly unknown[];
}

/** What `@Cached` knows of its method. */
export interface CachedMethod {
  /** The prefix of the default keys of `type`. Undefined if the decorator has a `key`. */
  readonly prefixFor: ((type: ClassReference) => string) | undefined;
  /** Undefined if the arguments give no key. The host is an instance, or the prototype of its class. */
  readonly keyFor: (call: Call, listed: ListedClasses) => string | undefined;
  /** Why `keyFor` gave none, as sentences. */
  readonly whyNoKey: (call: Call, listed: ListedClasses) => string;
  /** Calls to compute ahead. */
  readonly warm: WarmRule | undefined;
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

/** All decorated methods that an instance of `prototype` can run, also through `super`; those of subclasses first. */
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
