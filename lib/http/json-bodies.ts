import { Injectable, UnsupportedMediaTypeException, type CanActivate, type ExecutionContext } from '@nestjs/common';

/**
 * Lets JSON in and nothing else: a page of another site can make a browser send a form, with the user's cookies, but no
 * JSON without being asked first.
 */
@Injectable()
export class JsonBodies implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { headers } = context
      .switchToHttp()
      .getRequest<{ readonly headers: Readonly<Record<string, string | undefined>> }>();
    const type = headers['content-type']?.split(';')[0] ?? '';
    if (type.trim().toLowerCase() === 'application/json') return true;
    throw new UnsupportedMediaTypeException('Send JSON: content-type: application/json.');
  }
}
