import {
  HttpException,
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { catchError, throwError, type Observable } from 'rxjs';
import { isLaneCacheError, type LaneCacheErrorCode, type LaneCacheError } from '../errors/lane-cache.error.js';

const STATUS: Readonly<Partial<Record<LaneCacheErrorCode, number>>> = {
  LANE_UNKNOWN: 404,
  CHECKPOINTS_UNAVAILABLE: 503,
  INVALIDATION_PENDING: 503,
  CLOSED: 503,
  INVALIDATION_NOT_DURABLE: 500,
};

/** Answers errors of the library with a status, their code and their text. */
@Injectable()
export class TypedErrors implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(catchError((error: unknown) => throwError(() => withStatus(error))));
  }
}

function withStatus(error: unknown): unknown {
  if (!isLaneCacheError(error)) return error;
  const statusCode = statusOf(error);
  return new HttpException({ statusCode, code: error.code, message: error.message }, statusCode, { cause: error });
}

function statusOf({ code, field }: LaneCacheError): number {
  // prom-client is not installed
  if (code === 'OPTIONS_INVALID' && field === 'metrics') return 501;
  return STATUS[code] ?? 400;
}
