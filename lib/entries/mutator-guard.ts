const BRAND = Symbol.for('nestjs-lane-cache.mutator-guard');

/** Whether `value` is a method that a frozen copy carries in place of one that would change it. */
export const isMutatorGuard = (value: unknown): boolean => typeof value === 'function' && BRAND in value;

/** A method that throws, for a copy that all callers of `lane` share. */
export function mutatorGuard(lane: string, method: string): () => never {
  const guard = (): never => {
    throw new TypeError(
      `${method}() would change a value that all callers of lane '${lane}' share. Copy the value first, or ask for isolation: 'clone' on the call or the lane.`,
    );
  };
  Object.defineProperty(guard, BRAND, { value: true });
  return guard;
}
