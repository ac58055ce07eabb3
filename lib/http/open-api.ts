import type { Type } from '@nestjs/common';
import { methodOf, type OperationRoute } from './operation-routes.js';

// Where @nestjs/swagger is present, it reads this metadata. It is set by name, so that nothing has to be loaded.

const TAGS = 'swagger/apiUseTags';
const OPERATION = 'swagger/apiOperation';
const PARAMETERS = 'swagger/apiParameters';
const EXCLUDE = 'swagger/apiExcludeController';

const TEXT = { type: 'string' };
/** Fields that are no texts. */
const SCHEMAS: Readonly<Record<string, object>> = {
  tags: { type: 'array', items: TEXT },
  limit: { type: 'integer', minimum: 1 },
  version: { type: 'integer', minimum: 1 },
  maxAgeDays: { type: 'number', minimum: 0 },
  dryRun: { type: 'boolean' },
  by: { type: 'string', enum: ['saved', 'size', 'uses'] },
  tier: { type: 'string', enum: ['l1', 'l2', 'l3'] },
};

/** Describes the routes of a controller, each by one sentence and the names and types of its fields. */
export function describeForOpenApi(type: Type<object>, routes: readonly OperationRoute[]): void {
  const prototype: object = type.prototype;
  Reflect.defineMetadata(TAGS, ['lane-cache'], type);
  for (const route of routes) {
    const method: unknown = Reflect.get(prototype, methodOf(route));
    if (typeof method !== 'function') continue;
    Reflect.defineMetadata(OPERATION, { summary: route.summary }, method);
    Reflect.defineMetadata(PARAMETERS, parametersOf(route), method);
  }
}

/** Leaves a controller out of the description. */
export function hideFromOpenApi(type: Type<object>): void {
  Reflect.defineMetadata(EXCLUDE, [true], type);
}

function parametersOf({ method, input }: OperationRoute): readonly object[] {
  const schemaOf = (name: string): object => SCHEMAS[name] ?? TEXT;
  if (method === 'GET') return input.map((name) => ({ name, in: 'query', required: false, schema: schemaOf(name) }));
  const properties = Object.fromEntries(input.map((name) => [name, schemaOf(name)]));
  // As @ApiBody writes it: the schema holds, and a type must be there.
  return [{ in: 'body', required: true, type: String, schema: { type: 'object', properties } }];
}
