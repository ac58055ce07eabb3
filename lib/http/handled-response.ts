import 'reflect-metadata';

const ROUTE_ARGUMENTS = '__routeArguments__';
const PASSTHROUGH = '__responsePassthrough__';
/** As Nest numbers what a parameter is filled with. */
const RESPONSE = 1;
const NEXT = 2;
/** Routes whose result is not what is sent. */
const OTHERWISE_SENT = ['__sse__', '__renderTemplate__', '__redirect__'];

type Class = abstract new (...args: never[]) => unknown;

/** How a handler has to do with the response it makes. */
export interface ResponseHandling {
  /** What the handler returns is what Nest sends. */
  readonly isNests: boolean;
  /** The handler is given the response, and may set headers and status. */
  readonly isTouched: boolean;
}

/** Read from what Nest notes of `@Res()`, `@Next()`, `@Sse()`, `@Render()` and `@Redirect()`. */
export function responseHandling(type: Class, handler: object): ResponseHandling {
  const method = nameOf(type, handler);
  const parameters: object = Reflect.getMetadata(ROUTE_ARGUMENTS, type, method) ?? {};
  const kinds = Object.keys(parameters).map((name) => Number(name.split(':')[0]));
  const isTouched = kinds.includes(RESPONSE) || kinds.includes(NEXT);
  const isPassedThrough = Reflect.getMetadata(PASSTHROUGH, type, method) === true;
  const isSentOtherwise = OTHERWISE_SENT.some((key) => Reflect.hasMetadata(key, handler));
  return { isNests: !isSentOtherwise && (!isTouched || isPassedThrough), isTouched };
}

/** Under which name the class has the method: the function's own may be another. */
function nameOf(type: Class, handler: object): string | symbol {
  for (let at: unknown = type.prototype; typeof at === 'object' && at !== null; at = Object.getPrototypeOf(at)) {
    const holder: object = at;
    const name = Reflect.ownKeys(holder).find((key) => Object.getOwnPropertyDescriptor(holder, key)?.value === handler);
    if (name !== undefined) return name;
  }
  return 'name' in handler ? String(handler.name) : '';
}
