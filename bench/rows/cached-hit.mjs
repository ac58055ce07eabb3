import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { Cached, CacheManager, LaneCacheModule } from '../library.mjs';
import { race } from '../race.mjs';
import { atMost, row } from '../row.mjs';
import { keys, smallObject } from '../values.mjs';

const COUNT = 250;
const KEYS = keys(COUNT);

/** `@Cached` with one string argument against `getOrSet`, both answered by memory. */
export async function cachedHit(scratch) {
  const Users = users();
  const module = LaneCacheModule.forRoot({ directory: scratch.directory(), extraProviders: [Users] });
  const app = await NestFactory.createApplicationContext(module, { logger: false });
  scratch.onEnd(() => app.close());
  const [service, cache] = [app.get(Users), app.get(CacheManager)];
  const contestants = [
    { name: '@Cached', turn: (index) => service.load(KEYS[index % COUNT]) },
    { name: 'getOrSet', turn: (index) => cache.getOrSet(KEYS[index % COUNT], () => smallObject(index)) },
  ];
  for (const { turn } of contestants) for (let index = 0; index < COUNT; index++) await turn(index);
  const before = cache.getMetrics().misses;
  const took = await race(contestants);
  if (cache.getMetrics().misses !== before) throw new Error('@Cached: not every call was a hit');
  return row('@Cached L1 hit, one string argument', 'ns', took, [
    atMost(took.get('@Cached'), took.get('getOrSet'), 2, 'getOrSet'),
  ]);
}

function users() {
  class Users {
    async load(id) {
      return smallObject(id.length);
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(Users.prototype, 'load');
  Object.defineProperty(Users.prototype, 'load', Cached('standard')(Users.prototype, 'load', descriptor) ?? descriptor);
  return Users;
}
