import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  Injectable,
  NotFoundException,
  Param,
  UseInterceptors,
  type CallHandler,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
} from '@nestjs/common';
import { Test } from '@nestjs/testing';
import type { ServerResponse } from 'node:http';
import { CacheResponse, LaneCacheModule } from '../../lib/index.js';
import { Gate, until } from '../support/gate.js';

const CALLERS = 5;

/** Opens when the handler may answer. */
let gate: Gate;
let calls = 0;
let arrived = 0;
let left = 0;

/** Outside the cache. */
@Injectable()
class Arrivals implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): ReturnType<CallHandler['handle']> {
    arrived++;
    context
      .switchToHttp()
      .getResponse<ServerResponse>()
      .once('close', () => left++);
    return next.handle();
  }
}

const missing = async (id: string): Promise<never> => {
  calls++;
  await gate.whenOpen;
  throw new NotFoundException({ id });
};

@Controller()
@UseInterceptors(Arrivals)
class PagesController {
  @Get('plain/:id')
  @CacheResponse({ lane: 'docs' })
  plain(@Param('id') id: string): Promise<object> {
    return missing(id);
  }

  @Get('graceful/:id')
  @CacheResponse({ lane: 'graceful' })
  graceful(@Param('id') id: string): Promise<object> {
    return missing(id);
  }
}

describe('a client error of a handler that several requests wait for', () => {
  let app: INestApplication;
  let url: string;
  beforeAll(async () => {
    const lanes = { graceful: { grace: '1h' } } as const;
    const module = await Test.createTestingModule({
      imports: [LaneCacheModule.forRoot({ directory: false, checkpoints: false, lanes })],
      controllers: [PagesController],
    }).compile();
    app = module.createNestApplication({ logger: false });
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });
  afterAll(() => app.close());

  it.each([
    ['without a grace', 'plain'],
    ['with a grace', 'graceful'],
  ])('reaches each of them, and the handler runs once, in a lane %s', async (_lane, path) => {
    gate = new Gate();
    calls = arrived = 0;
    const answers = Array.from({ length: CALLERS }, async () => {
      const response = await fetch(`${url}/${path}/7`);
      return { status: response.status, body: await response.json() };
    });
    await until(() => arrived === CALLERS);
    await new Promise((resolve) => setImmediate(resolve));
    gate.open();
    expect(await Promise.all(answers)).toEqual(
      Array.from({ length: CALLERS }, () => ({ status: 404, body: { id: '7' } })),
    );
    expect(calls).toBe(1);
  });

  it('does not reach them after the client of the handler has left: one of them runs it for all', async () => {
    gate = new Gate();
    calls = arrived = left = 0;
    const leaving = new AbortController();
    const first = fetch(`${url}/graceful/8`, { signal: leaving.signal }).catch((error: Error) => error.name);
    await until(() => calls === 1);
    const others = Array.from({ length: CALLERS }, async () => (await fetch(`${url}/graceful/8`)).status);
    await until(() => arrived === 1 + CALLERS);
    await new Promise((resolve) => setImmediate(resolve));
    leaving.abort();
    await until(() => left === 1);
    gate.open();
    expect(await first).toBe('AbortError');
    expect(await Promise.all(others)).toEqual(Array.from({ length: CALLERS }, () => 404));
    expect(calls).toBe(2);
  });
});
