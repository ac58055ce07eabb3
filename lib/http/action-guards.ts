import {
  ForbiddenException,
  Injectable,
  UnsupportedMediaTypeException,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';

// What an action asks of a request, beside the guards of the app.

/**
 * Lets only JSON bodies in. A page of another site can make a browser send a form with the user's cookies, but JSON
 * only after a preflight request.
 */
@Injectable()
export class JsonBodies implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const type = headerOf(context, 'content-type')?.split(';')[0] ?? '';
    if (type.trim().toLowerCase() === 'application/json') return true;
    throw new UnsupportedMediaTypeException('Send JSON: content-type: application/json.');
  }
}

/** Refuses what a page of another origin sends. Programs that are no browsers do not send `Sec-Fetch-Site`. */
@Injectable()
export class NoOtherOrigin implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const site = headerOf(context, 'sec-fetch-site');
    if (site === undefined || site === 'same-origin' || site === 'none') return true;
    throw new ForbiddenException('Actions are not taken from pages of other origins.');
  }
}

/** Lets in only what a page of the same origin sends. Browsers say so on HTTPS and on localhost. */
@Injectable()
export class SameOrigin implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    if (headerOf(context, 'sec-fetch-site') === 'same-origin') return true;
    throw new ForbiddenException(
      'Actions need Sec-Fetch-Site: same-origin, which browsers send on HTTPS and on localhost.',
    );
  }
}

function headerOf(context: ExecutionContext, name: string): string | undefined {
  const { headers } = context
    .switchToHttp()
    .getRequest<{ readonly headers: Readonly<Record<string, string | undefined>> }>();
  return headers[name];
}
