import type { StandardSchema } from './options.js';
import type { Payload } from './payload.js';

/**
 * Whether a stored value fits a Standard Schema. A validator that answers later, or throws, does not fit: a cache that
 * had to wait for it would be slower than computing.
 */
export function satisfies(schema: StandardSchema | undefined, payload: Payload): boolean {
  if (schema === undefined) return true;
  try {
    const result = schema['~standard'].validate(payload.give('clone'));
    if (typeof result !== 'object' || result === null || result instanceof Promise) return false;
    return !('issues' in result) || result.issues === undefined;
  } catch {
    return false;
  }
}
