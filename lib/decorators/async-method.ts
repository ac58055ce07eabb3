/** What can be cached: a method that gives a promise. */
export type AsyncMethod = (...args: never[]) => Promise<unknown>;

/** A decorator that other methods don't compile with. */
export type AsyncMethodDecorator = <M extends AsyncMethod>(
  target: object,
  name: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => TypedPropertyDescriptor<M>;

/** A decorator of any method. */
export type AnyMethodDecorator = <M extends (...args: never[]) => unknown>(
  target: object,
  name: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
) => TypedPropertyDescriptor<M>;
