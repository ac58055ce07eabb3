import type { AsyncMethod } from './async-method.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';

/** Where a decorator stands. */
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

/** Checks that the decorator stands on an instance method, written as TypeScript's `experimentalDecorators` has it. */
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
