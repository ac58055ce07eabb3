import { partsNamed, Template } from '../entries/template.js';
import { LaneCacheError } from '../errors/lane-cache.error.js';
import type { CacheResponseOptions } from './cache-response-options.js';

// Keys and tags of responses, from the params, the query and the user of a request.

/** A text made from the platform's request. Undefined if a value is missing. */
export type RequestText = (request: object) => unknown;
export type RequestTags = (request: object) => unknown;

/** The parts of a request that templates name. */
const REQUEST_PARTS = ['params', 'query', 'user'];
const PARTS = partsNamed(REQUEST_PARTS);

const partsOf = (request: object): readonly unknown[] => REQUEST_PARTS.map((name) => Reflect.get(request, name));

/** Throws DECORATOR_INVALID for a template that cannot be parsed. */
export function requestText(spec: NonNullable<CacheResponseOptions['key']>): RequestText {
  if (typeof spec === 'function') return (request) => Reflect.apply(spec, undefined, [request]);
  const template = compile(spec, 'key');
  return (request) => template.render(partsOf(request));
}

/** Throws DECORATOR_INVALID for a template that cannot be parsed. */
export function requestTags(spec: NonNullable<CacheResponseOptions['tags']>): RequestTags {
  if (typeof spec === 'function') return (request) => Reflect.apply(spec, undefined, [request]);
  const templates = spec.map((tag) => compile(tag, 'tag'));
  if (templates.every((template) => template.arguments.length === 0)) {
    const constant = Object.freeze(templates.map((template) => template.render([])));
    return () => constant;
  }
  return (request) => {
    const parts = partsOf(request);
    return templates.map((template) => template.render(parts));
  };
}

function compile(text: string, use: 'key' | 'tag'): Template {
  try {
    return Template.compile(text, use, PARTS);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new LaneCacheError('DECORATOR_INVALID', `@CacheResponse: ${problem}`, {
      field: use === 'key' ? 'key' : 'tags',
    });
  }
}
