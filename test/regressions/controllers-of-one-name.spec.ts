import { afterEach, describe, expect, it } from '@jest/globals';
import { All, Controller, Get, type Type } from '@nestjs/common';
import { CacheResponse, type CacheResponseOptions } from '../../lib/index.js';
import { HttpApp } from '../support/http-app.js';

/** Controllers of one name, as two modules of an app may have them. */
function items(path: string, rules: CacheResponseOptions, host?: string, Route = Get): Type<object> {
  @Controller({ path, ...(host !== undefined && { host }) })
  class Items {
    @Route(':id')
    @CacheResponse(rules)
    get(): { readonly from: string } {
      return { from: host ?? path };
    }
  }
  return Items;
}

describe('two controllers of one name', () => {
  let app: HttpApp | undefined;
  afterEach(() => app?.close());

  const refused = { code: 'DECORATOR_INVALID', message: expect.stringContaining('Items.get') };

  it('are refused at boot when their routes have the same key', async () => {
    const rules = { key: 'item:{params.id}' };
    await expect(
      HttpApp.open('express', { controllers: [items('admin', rules), items('public', rules)] }),
    ).rejects.toMatchObject(refused);
  });

  it('are refused at boot when a function makes the key of one', async () => {
    const controllers = [items('admin', { key: () => 'item' }), items('public', { key: 'item' })];
    await expect(HttpApp.open('express', { controllers })).rejects.toMatchObject(refused);
  });

  it('are refused at boot when the host does not count, and only the host distinguishes them', async () => {
    const rules = { hosts: false } as const;
    const controllers = [items('items', rules, 'a.example'), items('items', rules, 'b.example')];
    await expect(HttpApp.open('express', { controllers })).rejects.toMatchObject(refused);
  });

  it.each([
    ['item:{params.id}', 'item:{query.id}'],
    ['item:{params.id}', 'item:old:{params.id}'],
    ['item:7', 'item:{params.id}'],
    ['{params.id}', undefined],
  ])('are refused at boot when their values can make their keys equal: %s and %s', async (one, other) => {
    const controllers = [items('admin', { key: one }), items('public', other === undefined ? {} : { key: other })];
    await expect(HttpApp.open('express', { controllers })).rejects.toMatchObject(refused);
  });

  it('are refused at boot when their routes serve every method', async () => {
    const rules = { key: 'item:{params.id}' };
    const controllers = [items('admin', rules, undefined, All), items('public', rules, undefined, All)];
    await expect(HttpApp.open('express', { controllers })).rejects.toMatchObject(refused);
  });

  it('have answers of their own by path, and by keys that differ', async () => {
    const controllers = [
      items('admin', {}),
      items('public', {}),
      items('c', { hosts: false }),
      items('d', { hosts: false }),
      items('x', { key: 'x:{params.id}' }),
      items('y', { key: 'y:{params.id}' }),
      items('z', { key: 'z' }),
      items('zz', { key: 'z:{params.id}' }),
    ];
    app = await HttpApp.open('express', { controllers });
    const paths = ['admin', 'public', 'c', 'd', 'x', 'y', 'z', 'zz', 'admin'];
    const from: string[] = [];
    for (const path of paths) from.push((await app.ask(`/${path}/1`)).body);
    expect(from).toEqual(paths.map((path) => JSON.stringify({ from: path })));
  });
});

/** As decorators do that measure or log. */
const wrapped: MethodDecorator = (_target, _name, descriptor) => {
  const original = descriptor.value as unknown as (...args: unknown[]) => unknown;
  const wrapper = function (this: unknown, ...args: unknown[]): unknown {
    return Reflect.apply(original, this, args);
  };
  descriptor.value = wrapper as never;
};

@Controller()
class Wrapped {
  @Get('a/:id')
  @CacheResponse({ key: 'k:{params.id}' })
  @wrapped
  a(): object {
    return { from: 'a' };
  }

  @Get('b/:id')
  @CacheResponse({ key: 'k:{params.id}' })
  @wrapped
  b(): object {
    return { from: 'b' };
  }
}

describe('methods of a controller whose functions another decorator has replaced', () => {
  it('have answers of their own', async () => {
    const app = await HttpApp.open('express', { controllers: [Wrapped] });
    expect([await app.json('/a/1'), await app.json('/b/1'), await app.json('/a/1')]).toEqual([
      { from: 'a' },
      { from: 'b' },
      { from: 'a' },
    ]);
    await app.close();
  });
});
