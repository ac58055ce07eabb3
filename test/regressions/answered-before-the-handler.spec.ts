import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type CallHandler,
  Controller,
  type ExecutionContext,
  Get,
  type NestInterceptor,
  RequestTimeoutException,
  Res,
  UseInterceptors,
} from '@nestjs/common';
import { from, map, mergeMap, type Observable, race, throwError } from 'rxjs';
import { CacheResponse } from '../../lib/index.js';
import { Deferred } from '../support/deferred.js';
import { Gate } from '../support/gate.js';
import { HttpApp, PLATFORMS } from '../support/http-app.js';

interface Reply {
  status(code: number): unknown;
  header(name: string, value: string): unknown;
}

let calls = 0;
let givesUp = new Deferred();
let called = new Gate();
let answers = new Gate();

/** As an interceptor that limits the time of handlers. */
class TimeLimit implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const tooLate = from(givesUp.promise).pipe(mergeMap(() => throwError(() => new RequestTimeoutException())));
    return race(next.handle(), tooLate);
  }
}

class NotStored implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const reply = context.switchToHttp().getResponse<Reply>();
    reply.header('cache-control', 'no-store');
    return next.handle().pipe(map((body: object) => ({ ...body, inner: true })));
  }
}

async function answer(): Promise<object> {
  const call = ++calls;
  called.open();
  await answers.whenOpen;
  return { call };
}

@Controller()
class PagesController {
  @Get('handler')
  @CacheResponse({ shared: true, statuses: [200, 404] })
  @UseInterceptors(TimeLimit)
  handler(@Res({ passthrough: true }) reply: Reply): Promise<object> {
    reply.status(404);
    reply.header('cache-control', 'no-store');
    return answer();
  }

  @Get('interceptor')
  @UseInterceptors(NotStored)
  @CacheResponse({ shared: true })
  @UseInterceptors(TimeLimit)
  interceptor(): Promise<object> {
    return answer();
  }

  @Get('plain')
  @CacheResponse({ shared: true })
  @UseInterceptors(TimeLimit)
  plain(): Promise<object> {
    return answer();
  }
}

describe.each(PLATFORMS)('a handler that ends after its request was answered for it, on %s', (platform) => {
  let app: HttpApp;

  beforeEach(async () => {
    calls = 0;
    [givesUp, called, answers] = [new Deferred(), new Gate(), new Gate()];
    app = await HttpApp.open(platform, { controllers: [PagesController] });
  });

  afterEach(() => app.close());

  const answerTooLate = async (path: string): Promise<void> => {
    const answered = app.ask(path);
    await called.whenOpen;
    givesUp.resolve(undefined);
    expect(await answered).toMatchObject({ status: 408 });
    givesUp = new Deferred();
  };

  it.each(['/handler', '/interceptor'])('leaves nothing where the response may have been changed: %s', async (path) => {
    await answerTooLate(path);
    answers.open();
    const { body, headers } = await app.ask(path);
    expect(JSON.parse(body)).toMatchObject({ call: 2 });
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'x-cache': 'MISS' });
  });

  it('does not answer others who wait, where the response may have been changed', async () => {
    await answerTooLate('/handler');
    const other = app.ask('/handler');
    answers.open();
    expect(await other).toMatchObject({ status: 404, headers: { 'cache-control': 'no-store' } });
  });

  it('leaves its answer where the response is as the route declares it', async () => {
    await answerTooLate('/plain');
    answers.open();
    expect(await app.ask('/plain')).toMatchObject({ body: '{"call":1}', headers: { 'x-cache': 'HIT' } });
  });
});
