import { expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Cached, CacheInvalidate, CacheManager, CachePut, Checkpointed } from '../../lib/index.js';
import { LaneCacheTestingModule } from '../../lib/testing/index.js';

abstract class Animals {
  abstract readonly kind: string;
  readonly seen: string[] = [];

  @Cached({
    key(id) {
      this.seen.push('key');
      return `${this.kind}:${id}`;
    },
    tags() {
      this.seen.push('tags');
      return [this.kind];
    },
    condition() {
      this.seen.push('condition');
      return true;
    },
    unless() {
      this.seen.push('unless');
      return false;
    },
    resultTags() {
      this.seen.push('resultTags');
      return [`of ${this.kind}`];
    },
    ttl() {
      this.seen.push('ttl');
      return '1h';
    },
  })
  async one(id: number): Promise<string> {
    return `${this.kind} ${id}`;
  }

  @CachePut({
    key(id) {
      return `${this.kind}:${id}`;
    },
  })
  async put(_id: number, name: string): Promise<string> {
    return name;
  }

  @CacheInvalidate({
    key(id) {
      return `${this.kind}:${id}`;
    },
    condition() {
      return this.kind === 'cat';
    },
  })
  async forget(_id: number): Promise<void> {}

  @Checkpointed({
    id(job) {
      return `${this.kind}:${job}`;
    },
    workflow() {
      return this.kind;
    },
  })
  async work(job: string): Promise<string> {
    return `${this.kind} ${job}`;
  }
}

@Injectable()
class Cats extends Animals {
  readonly kind = 'cat';
}

@Injectable()
class Dogs extends Animals {
  readonly kind = 'dog';
}

it('the functions of decorators are called with the instance, so that subclasses are distinguished', async () => {
  const app = await Test.createTestingModule({
    imports: [LaneCacheTestingModule.forRoot()],
    providers: [Cats, Dogs],
  }).compile();
  await app.init();
  const [cats, dogs, cache] = [app.get(Cats), app.get(Dogs), app.get(CacheManager)];
  expect(await Promise.all([cats.one(1), dogs.one(1)])).toEqual(['cat 1', 'dog 1']);
  expect(new Set(cats.seen)).toEqual(new Set(['key', 'tags', 'condition', 'unless', 'resultTags', 'ttl']));
  expect(await cache.get('cat:1')).toBe('cat 1');
  await cache.invalidateByTag('of cat');
  expect([await cache.has('cat:1'), await cache.has('dog:1')]).toEqual([false, true]);

  await cats.put(1, 'Tom');
  expect([await cats.one(1), await dogs.one(1)]).toEqual(['Tom', 'dog 1']);
  await cats.forget(1);
  await dogs.forget(1);
  expect([await cache.has('cat:1'), await cache.has('dog:1')]).toEqual([false, true]);

  expect([await cats.work('a'), await dogs.work('a')]).toEqual(['cat a', 'dog a']);
  expect(await cache.snapshots.restoreCheckpoint('dog:a')).toBe('dog a');
  await app.close();
});
