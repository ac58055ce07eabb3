import type { FlightContext } from '../cache/in-flight/computation.js';
import type { Compute, ComputeContext } from '../cache/call-options.js';
import type { Duration } from '../lanes/duration.js';
import { callGiven } from './given-function.js';
import type { MethodCall } from './method-wrapper.js';

/** What a decorator decides once it knows the result. */
export interface ResultRules {
  /** true = the result is not stored (refused 'unless'). */
  readonly unless?: (result: never, ...args: never[]) => boolean;
  /** Tags beside those of the arguments. */
  readonly resultTags?: (result: never, ...args: never[]) => readonly string[];
  /** How long this result lives. */
  readonly ttl?: Duration | ((result: never, ...args: never[]) => Duration);
}

/** Makes a call's method a computation of the cache, with the rules applied to what it returns. */
export function computeWith(rules: ResultRules): (call: MethodCall) => Compute<unknown> {
  const { unless, resultTags, ttl } = rules;
  if (unless === undefined && resultTags === undefined && typeof ttl !== 'function') return (call) => call.run;
  return (call) => async (context) => {
    const result = await call.run();
    const told = [result, ...call.args];
    if (unless !== undefined && callGiven(unless, told)) refuse(context);
    if (resultTags !== undefined) context.setTags(callGiven(resultTags, told));
    if (typeof ttl === 'function') context.setTtl(callGiven(ttl, told));
    return result;
  };
}

function refuse(context: ComputeContext): void {
  if (isFlight(context)) context.refuse('unless');
  else context.skipCache();
}

const isFlight = (context: ComputeContext): context is FlightContext => 'refuse' in context;
