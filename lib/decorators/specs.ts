import {
  decoratorError,
  type AnyAsyncMethod,
  type AnyHost,
  type AsyncMethod,
  type Call,
  type DecorationSite,
  type OfCall,
} from './method-registry.js';
import { callGiven, type GivenFunction } from './option-checks.js';
import { kindInWords } from '../entries/arguments.js';
import { Template, type TemplateUse } from '../entries/template.js';

/**
 * A template (`'doc:{0}'`, `'user:{0.id}'`; `{{` is a brace) or a function of the arguments, called with the method's
 * `this`. What happens if it throws is up to the decorator.
 */
export type KeySpec<M extends AsyncMethod = AnyAsyncMethod, C extends object = AnyHost> = string | OfCall<string, M, C>;

/** Tags, each of which may be a template, or a function of the arguments. */
export type TagSpec<M extends AsyncMethod = AnyAsyncMethod, C extends object = AnyHost> =
  readonly string[] | OfCall<readonly string[], M, C>;

/** Undefined if a template's value is missing among the arguments. */
export type FromCall<T> = (call: Call) => T | undefined;

/** A spec compiled when the class is declared. */
export interface Compiled<T> {
  readonly of: FromCall<T>;
  readonly templates: readonly Template[];
  /** Made of templates, and not by a function of the app. */
  readonly isTemplate: boolean;
  /** The value for every call, if it does not depend on the arguments. */
  readonly constant?: T;
}

/** Throws DECORATOR_INVALID for a template that cannot be parsed. */
export function compileKey(site: DecorationSite, spec: KeySpec, use: TemplateUse): Compiled<string> {
  if (typeof spec === 'function') return ofFunction(spec);
  const template = compileTemplate(site, spec, use);
  return { of: ({ args }) => template.render(args), templates: [template], isTemplate: true };
}

/** Throws DECORATOR_INVALID for a template that cannot be parsed. */
export function compileTags(site: DecorationSite, spec: TagSpec): Compiled<readonly string[]> {
  if (typeof spec === 'function') return ofFunction(spec);
  if (!Array.isArray(spec)) throw decoratorError(site, 'tags must be a list of strings or a function that gives one.');
  const templates = spec.map((tag: string) => compileTemplate(site, tag, 'tag'));
  if (templates.some((template) => template.arguments.length > 0)) {
    return { of: ({ args }) => renderAll(templates, args), templates, isTemplate: true };
  }
  const constant = Object.freeze(templates.map((template) => template.render([]) ?? ''));
  return { of: () => constant, templates: [], isTemplate: true, constant };
}

function ofFunction<T>(spec: GivenFunction<T>): Compiled<T> {
  return { of: ({ args, host }) => callGiven(spec, args, host), templates: [], isTemplate: false };
}

/** The first placeholder of the templates that has no value in the call, as a sentence; undefined if there is none. */
export function whyUnrendered(templates: readonly Template[], { args }: Call): string | undefined {
  for (const template of templates) {
    const missing = template.missing(args);
    if (missing === undefined) continue;
    const { placeholder, value } = missing;
    return `the template '${template.text}' needs a text, number, bigint or boolean at ${placeholder}, which is ${kindInWords(value)}.`;
  }
  return undefined;
}

function renderAll(templates: readonly Template[], args: readonly unknown[]): readonly string[] | undefined {
  const rendered: string[] = [];
  for (const template of templates) {
    const text = template.render(args);
    if (text === undefined) return undefined;
    rendered.push(text);
  }
  return rendered;
}

function compileTemplate(site: DecorationSite, text: unknown, use: TemplateUse): Template {
  if (typeof text !== 'string' || text === '') {
    throw decoratorError(site, `a ${use} must be a text that isn't empty, or a function that gives one.`);
  }
  try {
    return Template.compile(text, use);
  } catch (error) {
    throw decoratorError(site, error instanceof Error ? error.message : String(error));
  }
}
