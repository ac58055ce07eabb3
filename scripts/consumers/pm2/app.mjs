// A Nest app as PM2 runs it in cluster mode: it says when it is ready, and closes in good order.
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { CacheManager, LaneCacheModule } from 'nestjs-lane-cache';

const { SUPPLIER, PORT } = process.env;
const app = await NestFactory.create(LaneCacheModule.forRoot('standard'), { logger: ['warn', 'error'] });
const cache = app.get(CacheManager);
const server = app.getHttpAdapter();
const answer = (work) => (request, response) =>
  work(request.params.key).then(
    (value) => response.json(value),
    (error) => response.status(500).json({ error: String(error) }),
  );
const compute = (key) => fetch(`${SUPPLIER}/${key}`).then((found) => found.json());
server.get(
  '/values/:key',
  answer((key) => cache.getOrSet(key, () => compute(key))),
);
server.post(
  '/values/:key/changed',
  answer(async (key) => ({ was: await cache.invalidate(key) })),
);
server.get(
  '/l3',
  answer(async () => ({ pid: process.pid, l3: cache.getMetrics().l3.state })),
);
app.enableShutdownHooks();
await app.listen(Number(PORT), '127.0.0.1');
process.send?.('ready');
