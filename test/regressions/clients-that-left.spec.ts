import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import { Controller, Get, Req, Session, type INestApplication } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import session from 'express-session';
import { EventEmitter, once } from 'node:events';
import { connect } from 'node:net';
import { CacheResponse } from '../../lib/index.js';
import { Deferred } from '../support/deferred.js';
import { until } from '../support/gate.js';
import { type Answer, HttpApp, type Platform, PLATFORMS } from '../support/http-app.js';

interface Incoming {
  readonly raw?: Incoming;
  readonly socket: NodeJS.EventEmitter;
}

let calls = 0;
let requests = 0;
let onCall: (call: number) => void = () => undefined;
let answers = new Deferred();
const leaving = new EventEmitter();

@Controller()
class PagesController {
  /** Starts a session, whose cookie is set when the head is written. */
  @Get('session')
  @CacheResponse()
  async session(@Session() started: { token?: string }): Promise<object> {
    started.token = `token of ${++calls}`;
    onCall(calls);
    await answers.promise;
    return { ...started };
  }

  /** Gives up when its client leaves, as with a signal. */
  @Get('abandoned')
  @CacheResponse({ shared: true })
  async abandoned(@Req() request: Incoming): Promise<object> {
    const call = ++calls;
    onCall(call);
    if (call > 1) return { call };
    await once((request.raw ?? request).socket, 'close');
    throw new Error('the client has left');
  }
}

async function withSession(nest: INestApplication, platform: Platform): Promise<void> {
  nest.use((_request: unknown, response: NodeJS.EventEmitter, next: () => void) => {
    requests++;
    response.once('close', () => leaving.emit('left'));
    next();
  });
  const secret = 'a secret of at least thirty-two letters';
  if (platform === 'express') {
    nest.use(session({ secret, resave: false, saveUninitialized: false }));
    return;
  }
  const instance = (nest as NestFastifyApplication).getHttpAdapter().getInstance();
  await instance.register(fastifyCookie as never);
  const options = { secret, saveUninitialized: false, cookie: { secure: false } };
  await instance.register(fastifySession as never, options as never);
}

describe.each(PLATFORMS)('of a client that leaves before it is answered, on %s', (platform) => {
  let app: HttpApp;

  beforeEach(async () => {
    calls = 0;
    requests = 0;
    answers = new Deferred();
    app = await HttpApp.open(platform, { controllers: [PagesController], prepare: withSession });
    app.nest.useLogger(false);
  });

  afterEach(() => app.close());

  /** Asks for the page, lets others ask as well once the handler runs, and leaves. Resolves when the server knows. */
  async function leave(path: string, others: () => Promise<void>): Promise<void> {
    const { hostname, port } = new URL(app.url);
    const socket = connect(Number(port), hostname);
    const isCalled = new Promise<void>((resolve) => (onCall = () => resolve()));
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`);
    await isCalled;
    onCall = () => undefined;
    await others();
    const hasLeft = once(leaving, 'left');
    socket.destroy();
    await hasLeft;
  }

  /** The app has that many requests, and has looked all of them up. */
  const arrived = async (count: number): Promise<void> => {
    await until(() => requests >= count);
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  };

  it('the answer is shared with nobody, because it may belong to a session', async () => {
    const others: Promise<Answer>[] = [];
    await leave('/session', async () => {
      others.push(app.ask('/session'), app.ask('/session'));
      await arrived(3);
    });
    answers.resolve(undefined);
    others.push(app.ask('/session'));
    const tokens = (await Promise.all(others)).map(({ body, headers }) => {
      expect(headers['set-cookie']).toHaveLength(1);
      return body;
    });
    expect(new Set(tokens).size).toBe(3);
    expect(tokens).not.toContain('{"token":"token of 1"}');
  });

  it('its failure is that of nobody else, and one call of the handler serves those who waited', async () => {
    const others: Promise<Answer>[] = [];
    await leave('/abandoned', async () => {
      others.push(app.ask('/abandoned'), app.ask('/abandoned'));
      await arrived(3);
    });
    for (const { status, body } of await Promise.all(others)) expect([status, body]).toEqual([200, '{"call":2}']);
    expect(calls).toBe(2);
  });
});
