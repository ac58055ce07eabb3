import { RequestMethod, type ExecutionContext } from '@nestjs/common';
import type { Reflector } from '@nestjs/core';
import { responseHandling, type ResponseHandling } from './handled-response.js';
import { RESPONSE_RULES, type CacheResponseOptions } from './response-rules.js';

/** As Nest notes what `@Get()` and its like, and `@Version()`, say. */
const METHOD = 'method';
const VERSION = '__version__';

type Class = ReturnType<ExecutionContext['getClass']>;
type Handler = ReturnType<ExecutionContext['getHandler']>;

/** A handler and how its answers are cached. */
export interface Route {
  /** `Class.method`, and the versions it is for: those of one URL may come from classes of one name. */
  readonly label: string;
  /** Whether the handler serves GET alone, and HEAD as GET without its body. */
  readonly isGet: boolean;
  readonly rules: CacheResponseOptions;
  readonly handling: ResponseHandling;
}

/** What a method says goes before what its class says. */
export function readRoute(reflector: Reflector, type: Class, handler: Handler): Route {
  const version: unknown = reflector.getAllAndOverride(VERSION, [handler, type]);
  const versions: readonly unknown[] = version === undefined || Array.isArray(version) ? (version ?? []) : [version];
  return {
    label: [`${type.name}.${handler.name}`, ...versions.map(String)].join('@'),
    isGet: reflector.get(METHOD, handler) === RequestMethod.GET,
    rules: {
      ...reflector.get<CacheResponseOptions | undefined>(RESPONSE_RULES, type),
      ...reflector.get<CacheResponseOptions | undefined>(RESPONSE_RULES, handler),
    },
    handling: responseHandling(type, handler),
  };
}
