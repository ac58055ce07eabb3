/** A function among a decorator's options, written for the very arguments of the method it stands on. */
export type GivenFunction<R> = (this: never, ...args: never[]) => R;

/** Calls it with those of a call, which are of these types although nothing at run time says so. */
export function callGiven<R>(given: GivenFunction<R>, args: readonly unknown[], host?: object): R {
  return Reflect.apply(given, host, args);
}
