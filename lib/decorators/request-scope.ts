import { Scope } from '@nestjs/common';
import type { DiscoveryService } from '@nestjs/core';

/** A provider or controller as Nest's container holds it. */
export type Provided = ReturnType<DiscoveryService['getProviders']>[number];

/** What makes `provided` one instance per request: `itself`, or the chain of dependencies; undefined if nothing does. */
export function requestScopeOf(provided: Provided): string | undefined {
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
