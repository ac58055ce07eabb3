import type { DecorationSite } from './decoration-site.js';
import { decoratedMethods, type ClassReference } from './method-registry.js';

/**
 * What the default keys of one `@Cached` method begin with: `Class.method`, after the class of the instance and not
 * the one that declares the method, so that two subclasses don't share entries.
 *
 * An overridden method that is still run by `super` gets a prefix of its own: with that of the overriding one it would
 * wait for the very computation it is part of.
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
