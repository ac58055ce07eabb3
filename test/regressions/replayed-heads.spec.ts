import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type ArgumentsHost,
  Catch,
  Controller,
  type ExceptionFilter,
  Get,
  HttpException,
  type INestApplication,
  NotFoundException,
  Res,
  ServiceUnavailableException,
  UseFilters,
} from '@nestjs/common';
import { CacheResponse } from '../../lib/index.js';
import { HttpApp, PLATFORMS } from '../support/http-app.js';

interface Outgoing {
  status(status: number): Outgoing;
  header(name: string, value: string): Outgoing;
  send(body: object): unknown;
  removeHeader(name: string): unknown;
  readonly raw?: { removeHeader(name: string): unknown };
}

let calls = 0;

class GoneError extends HttpException {
  constructor() {
    super({ why: 'gone' }, 404);
  }
}

class UnknownItemError extends NotFoundException {}

@Catch(GoneError, NotFoundException)
class Filter implements ExceptionFilter<HttpException> {
  catch(error: HttpException, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<Outgoing>();
    response.status(404).send({ filtered: error.getResponse() });
  }
}

@Controller()
class Routes {
  @Get('embedded')
  @CacheResponse()
  embedded(@Res({ passthrough: true }) response: Outgoing): object {
    (response.raw ?? response).removeHeader('x-frame-options');
    return { call: ++calls };
  }

  @Get('busy')
  @CacheResponse({ statuses: [503] })
  busy(@Res({ passthrough: true }) response: Outgoing): void {
    response.header('Retry-After', String(++calls));
    throw new ServiceUnavailableException();
  }

  @Get('gone')
  @UseFilters(Filter)
  @CacheResponse({ statuses: [404] })
  gone(): void {
    calls++;
    throw new GoneError();
  }

  @Get('unknown')
  @UseFilters(new Filter())
  @CacheResponse({ statuses: [404] })
  unknown(): void {
    calls++;
    throw new UnknownItemError('no such item');
  }
}

describe.each(PLATFORMS)('an answer from the cache, on %s,', (platform) => {
  let app: HttpApp;

  beforeEach(async () => {
    calls = 0;
    const prepare = (nest: INestApplication): void => {
      nest.use((_: unknown, response: { setHeader(name: string, value: string): void }, next: () => void) => {
        response.setHeader('X-Frame-Options', 'DENY');
        next();
      });
    };
    app = await HttpApp.open(platform, { controllers: [Routes], prepare });
  });

  afterEach(() => app.close());

  /** Status, body and headers of two requests, without what tells them apart. */
  async function twice(path: string): Promise<object> {
    const [first, second] = [await app.ask(path), await app.ask(path)];
    const shown = [first, second].map(({ status, body, headers }) => {
      const { 'cache-status': _status, 'x-cache': _cache, age: _age, date: _date, ...others } = headers;
      return { status, body, headers: others };
    });
    expect(shown[1]).toEqual(shown[0]);
    return shown[0] ?? {};
  }

  it('lacks the header of middleware that the handler removed', async () => {
    const answer = await twice('/embedded');
    expect(answer).not.toHaveProperty('headers.x-frame-options');
    expect(calls).toBe(1);
  });

  it('has the headers that the handler set before it threw', async () => {
    expect(await twice('/busy')).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
    expect(calls).toBe(1);
  });

  it('is never that of another filter: an exception that a filter names is made anew', async () => {
    expect(await twice('/gone')).toMatchObject({ status: 404, body: '{"filtered":{"why":"gone"}}' });
    expect(calls).toBe(2);
  });

  it('is that of the filter for the class of Nest, for a subclass of the app too', async () => {
    expect(await twice('/unknown')).toMatchObject({ body: expect.stringContaining('no such item') });
    expect(calls).toBe(1);
  });
});
