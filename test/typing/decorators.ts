/** What the compiler knows in the functions of decorators. It runs nothing: a line that does not hold does not compile. */
import { applyDecorators } from '@nestjs/common';
import {
  Cached,
  CacheInvalidate,
  CachePut,
  Checkpointed,
  type AsyncMethodDecorator,
  type CachedOptions,
} from 'nestjs-lane-cache';
import { isSame } from './same-type.js';

interface Page {
  readonly html: string;
  readonly draft: boolean;
}

export class Pages {
  private readonly site: string = 'site';

  @Cached({
    ttl: (page, id) => {
      isSame<typeof page, Page>();
      isSame<typeof id, string>();
      return page.draft ? '1s' : '1h';
    },
    key: (id) => id.toUpperCase(),
    tags: (id) => [id],
    resultTags: (page) => [page.html],
    condition: (id) => id !== '',
    unless: (page, id) => page.html === id,
  })
  async render(id: string): Promise<Page> {
    return { html: id, draft: true };
  }

  @Cached({
    key(id) {
      isSame<typeof this, Pages>();
      return `${this.site}:${id}`;
    },
  })
  async ofSite(id: string): Promise<Page> {
    return { html: id, draft: true };
  }

  @Cached({ key: (id, language) => `${id}${language?.length}` })
  async withDefault(id: string, language = 'en'): Promise<string> {
    return id + language;
  }

  @Cached({ key: (...ids) => ids.join(), ttl: (count) => `${count}s` })
  async withRest(...ids: number[]): Promise<number> {
    return ids.length;
  }

  @Cached({ key: (id) => String(id), unless: (value) => value === undefined })
  async generic<T>(id: T): Promise<T> {
    return id;
  }

  overloaded(id: string): Promise<string>;
  overloaded(id: number): Promise<number>;
  @Cached({ key: (id) => String(id) })
  async overloaded(id: string | number): Promise<string | number> {
    return id;
  }

  @Cached({ key: (id) => id.trim() })
  protected async inherited(id: string): Promise<void> {
    await this.hidden(id.length);
  }

  @Cached({ key: (size) => size.toFixed() })
  private async hidden(size: number): Promise<number> {
    return size;
  }

  @CachePut({ key: (_id, page) => page.html, unless: (stored) => stored.draft, tags: ['pages', 'page:{0}'] })
  async put(_id: string, page: Page): Promise<Page> {
    return page;
  }

  @CacheInvalidate({ key: (id) => id, condition: (id, force) => force && id !== '' })
  @CacheInvalidate({ key: ['a:{0}', (id) => id], tags: (id) => [id], pattern: (id) => `${id}*` })
  async change(id: string, force: boolean): Promise<void> {
    await this.render(id + force);
  }

  @Checkpointed({ id: (job) => job.trim(), workflow: (job) => job, step: (_job, part) => part })
  async work(job: string, part: number): Promise<string> {
    return job + part;
  }

  @Checkpointed({
    id(job) {
      return `${this.site}:${job}`;
    },
  })
  async workOfSite(job: string): Promise<string> {
    return job;
  }
}

export class Repository<Row extends { readonly id: string }> {
  @Cached({ key: (row) => row.id, unless: (found) => found === null })
  async same(row: Row): Promise<Row | null> {
    return row;
  }
}

export abstract class Animals {
  protected abstract readonly kind: string;

  @Cached({
    key(id) {
      return `${this.kind}:${id}`;
    },
  })
  async one(id: number): Promise<string> {
    return this.kind + id;
  }
}

export class Wrong {
  // @ts-expect-error -- the result is a Page
  @Cached({ ttl: (page: string) => page })
  async result(id: string): Promise<Page> {
    return { html: id, draft: true };
  }

  // @ts-expect-error -- a Page has no such member
  @Cached({ ttl: (page) => page.nope })
  async member(id: string): Promise<Page> {
    return { html: id, draft: true };
  }

  // @ts-expect-error -- the argument is a text
  @Cached({ key: (id: number) => id.toFixed() })
  async argument(id: string): Promise<string> {
    return id;
  }

  // @ts-expect-error -- there is one argument
  @Cached({ key: (id, other) => id + other })
  async beyond(id: string): Promise<string> {
    return id;
  }

  // @ts-expect-error -- a key is a text
  @Cached({ key: (id) => id.length })
  async noText(id: string): Promise<string> {
    return id;
  }

  // prettier-ignore
  // @ts-expect-error -- `this` is a Wrong
  @Cached({ key: function (this: Pages) { return ''; } })
  async host(id: string): Promise<string> {
    return id;
  }

  // @ts-expect-error -- the argument is a text
  @CachePut({ key: (id: number) => id.toFixed() })
  async put(id: string): Promise<string> {
    return id;
  }

  // @ts-expect-error -- the result is a text
  @CachePut({ key: 'k:{0}', unless: (stored: number) => stored > 1 })
  async putResult(id: string): Promise<string> {
    return id;
  }

  // @ts-expect-error -- the argument is a text
  @CacheInvalidate({ key: (id: number) => id.toFixed() })
  async invalidate(id: string): Promise<void> {
    await this.put(id);
  }

  // @ts-expect-error -- the argument is a text
  @CacheInvalidate({ tags: ['t'], condition: (id: number) => id > 1 })
  async invalidateSome(id: string): Promise<void> {
    await this.put(id);
  }

  // @ts-expect-error -- the argument is a text
  @Checkpointed({ id: (job: number) => job.toFixed() })
  async work(job: string): Promise<string> {
    return job;
  }

  // @ts-expect-error -- the argument is a text
  @Checkpointed({ id: (job) => job, step: (job: number) => job })
  async step(job: string): Promise<string> {
    return job;
  }

  // @ts-expect-error -- a method that returns no promise cannot be cached
  @Cached({ key: 'k' })
  now(): number {
    return 1;
  }

  // @ts-expect-error -- the same without options
  @Cached('docs')
  later(): number {
    return 1;
  }
}

/** Decorators that are declared once, for several methods. */
const Shared = Cached({ key: (id: string) => id, ttl: (page: Page) => (page.draft ? '1s' : '1h') });
const InDocs = Cached('docs', '5m');
const Returned = (): AsyncMethodDecorator => Cached({ key: (id: string) => id, ttl: (_page: Page) => '1h' });
const Composed = (): MethodDecorator =>
  applyDecorators(Cached({ key: (id: string) => id, unless: (page: Page) => page.draft }), InDocs, Cached('docs'));
const DEFAULTS: CachedOptions = { lane: 'docs', ttl: (page: Page) => (page.draft ? '1s' : '1h') };
const withDefaults = (options: CachedOptions): AsyncMethodDecorator => Cached({ ...DEFAULTS, ...options });

export class Users {
  @Shared
  async shared(id: string): Promise<Page> {
    return { html: id, draft: true };
  }

  @InDocs
  async inDocs(): Promise<number> {
    return 1;
  }

  @Returned()
  async returned(id: string): Promise<Page> {
    return { html: id, draft: true };
  }

  @Composed()
  async composed(id: string): Promise<Page> {
    return { html: id, draft: true };
  }

  @Cached({ ...DEFAULTS, key: (id) => id.trim() })
  async spread(id: string): Promise<Page> {
    return { html: id, draft: true };
  }

  @Cached(DEFAULTS)
  async given(id: string): Promise<Page> {
    return { html: id, draft: true };
  }

  @withDefaults({ key: (id: string) => id })
  async defaulted(id: string): Promise<Page> {
    return { html: id, draft: true };
  }

  // @ts-expect-error -- a method that returns no promise cannot be cached
  @InDocs
  now(): number {
    return 1;
  }
}
