import 'reflect-metadata';
import type { LaneManager } from '../cache/lane-manager.js';
import { UnknownLaneError } from '../errors/cache.errors.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import {
  decoratorError,
  siteLabel,
  decoratedMethods,
  type ClassReference,
  type DecoratedMethod,
} from './method-registry.js';
import type { Template } from '../entries/template.js';
import { Scope } from '@nestjs/common';
import type { DiscoveryService } from '@nestjs/core';

/** Checks that need the whole app: its lanes, the key prefixes of all classes, their scopes. One instance per boot. */
export class BootChecks {
  private readonly prefixes = new Map<string, { readonly type: ClassReference; readonly method: DecoratedMethod }>();
  private readonly checked = new Set<ClassReference>();
  /** The first class found for each method that stores under a template. A mixin declares its method for each class anew. */
  private readonly stores = new Map<string, ClassReference>();

  /** The instances of each class that factories and values gave, with their tokens. */
  private readonly given = new Map<ClassReference, Map<object, string>>();

  constructor(private readonly manager: LaneManager) {}

  /** Throws UnknownLaneError or DECORATOR_INVALID; warns of templates that do not fit their method. */
  check(type: ClassReference, provided: Provided): void {
    const methods = decoratedMethods(type.prototype);
    for (const method of methods) this.checkScope(method, provided);
    if (this.checked.has(type)) return;
    this.checked.add(type);
    for (const method of methods) {
      this.checkLane(method);
      this.checkPrefix(type, method);
      this.checkInherited(type, method);
      for (const template of method.templates) this.checkTemplate(method, template);
    }
  }

  /** Warns of a class with several instances from factories or values: they may differ, and their default keys do not. */
  checkGiven(type: ClassReference, instance: object, { name, token }: Provided): void {
    const instances = this.given.get(type) ?? new Map<object, string>();
    this.given.set(type, instances.set(instance, instances.get(instance) ?? String(name ?? token)));
    const shared = decoratedMethods(type.prototype).find(({ cached }) => cached?.prefixFor !== undefined);
    if (instances.size !== 2 || shared === undefined) return;
    const label = siteLabel(shared.site);
    this.manager.warnOnce(
      `instances ${label}`,
      `${label}: the app has several instances of ${type.name} (${[...instances.values()].join(', ')}), which share entries. If their results differ, name the instance in the key: key(…) { return \`\${this.…}:…\`; }. If they do not, give a key without it.`,
    );
  }

  private checkLane({ site, lane }: DecoratedMethod): void {
    if (lane === undefined) return;
    try {
      this.manager.forLane(lane);
    } catch (error) {
      throw error instanceof UnknownLaneError ? new UnknownLaneError(lane, error.known, siteLabel(site)) : error;
    }
  }

  private checkPrefix(type: ClassReference, method: DecoratedMethod): void {
    const prefix = method.cached?.prefixFor?.(type);
    if (prefix === undefined) return;
    const other = this.prefixes.get(prefix);
    if (other !== undefined) {
      const here = `${type.name}.${String(method.site.method)}`;
      const there = `${other.type.name}.${String(other.method.site.method)}`;
      throw new LaneCacheError(
        'DECORATOR_INVALID',
        `Two @Cached methods, ${there} and another ${here}, would both begin their keys with '${prefix}' and answer for each other. Give one of them a name: @Cached({ name: 'Other.${String(method.site.method)}' }).`,
      );
    }
    this.prefixes.set(prefix, { type, method });
  }

  /** A template has no place for the class: two subclasses would answer for each other. */
  private checkInherited(type: ClassReference, { site, lane, storesUnder }: DecoratedMethod): void {
    if (storesUnder === undefined) return;
    const { text } = storesUnder;
    const declared = JSON.stringify([siteLabel(site), lane, text]);
    const other = this.stores.get(declared);
    if (other === undefined) {
      this.stores.set(declared, type);
      return;
    }
    const option = site.decorator === '@Checkpointed' ? 'id' : 'key';
    throw decoratorError(
      site,
      `${other.name} and ${type.name} share the method and its ${option} '${text}', so that each would get what the other stored. Name the class in it: ${option}(…) { return \`\${this.constructor.name}:…\`; }${site.decorator === '@Cached' ? ', or leave the key out' : ''}. If both mean the same, give a function that makes the same text.`,
    );
  }

  private checkScope({ site, cached }: DecoratedMethod, provided: Provided): void {
    if (cached?.prefixFor === undefined && cached?.warm === undefined) return;
    const reason = requestScopeOf(provided);
    if (reason === undefined) return;
    if (cached.warm !== undefined) {
      const problem = `'warm' needs an instance that is there when the app starts, and the class has one per request, because ${reason}.`;
      throw decoratorError(site, problem);
    }
    throw decoratorError(
      site,
      `the class has one instance per request, because ${reason}, so its result may depend on the user. Give it a key that names everything the result depends on, or take the method to a class of its own.`,
    );
  }

  /** Warns only, because the metadata counts rest parameters as one. */
  private checkTemplate({ site }: DecoratedMethod, { text, use, arguments: used }: Template): void {
    const types: unknown = Reflect.getMetadata('design:paramtypes', site.prototype, site.method);
    if (!Array.isArray(types)) return;
    const label = siteLabel(site);
    const beyond = used.find((argument) => argument >= types.length);
    if (beyond !== undefined) {
      const problem = `names argument ${beyond}, but the method declares ${types.length}; counting starts at 0`;
      this.manager.warnOnce(`${label} ${text}`, `${label}: the template '${text}' ${problem}.`);
    } else if (use === 'key' && used.length === 0 && types.length > 0) {
      const problem = 'uses none of the arguments, so that all calls share it';
      this.manager.warnOnce(`${label} ${text}`, `${label}: the template '${text}' ${problem}.`);
    }
  }
}

/** A provider or controller as Nest's container holds it. */
export type Provided = ReturnType<DiscoveryService['getProviders']>[number];

/** Why `provided` has one instance per request: its own scope, or a chain of dependencies; undefined if it has not. */
function requestScopeOf(provided: Provided): string | undefined {
  if (provided.isDependencyTreeStatic()) return undefined;
  if (provided.scope === Scope.REQUEST) return 'it is declared with Scope.REQUEST';
  return `it depends on ${causes(provided, new Set([provided])).join(', which depends on ')}`;
}

function causes(provided: Provided, seen: Set<Provided>): readonly string[] {
  const cause = dependenciesOf(provided).find((each) => !seen.has(each) && !each.isDependencyTreeStatic());
  if (cause === undefined) return [];
  seen.add(cause);
  const name = String(cause.name ?? cause.token);
  return cause.scope === Scope.REQUEST ? [name] : [name, ...causes(cause, seen)];
}

function dependenciesOf(provided: Provided): readonly Provided[] {
  return [
    ...(provided.getCtorMetadata() ?? []),
    ...(provided.getPropertiesMetadata() ?? []).map((property) => property.wrapper),
    ...(provided.getEnhancersMetadata() ?? []),
  ].filter((each): each is Provided => each !== undefined);
}
