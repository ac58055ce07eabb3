import { types } from 'node:util';

/** Whether `await` would wait for it: a promise of any realm, or another object with a `then`. Never throws. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (types.isPromise(value)) return true;
  if (typeof value !== 'object' || value === null) return false;
  try {
    return typeof Reflect.get(value, 'then') === 'function';
  } catch {
    return false;
  }
}

/** Lets what may be a promise reject without ending the process: nobody waits for it. */
export function ignoreRejection(value: unknown): void {
  onRejection(value, () => undefined);
}

/** Calls `rejected` if what may be a promise rejects. A function that should have returned a value may return one. */
export function onRejection(value: unknown, rejected: (error: unknown) => void): void {
  if (!types.isPromise(value)) return;
  try {
    void Promise.prototype.then.call(value, undefined, rejected);
  } catch (error) {
    rejected(error);
  }
}
