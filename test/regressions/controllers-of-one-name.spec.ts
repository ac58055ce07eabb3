import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, type Type } from '@nestjs/common';
import { CacheResponse, type CacheResponseOptions } from '../../lib/index.js';
import { HttpApp } from '../support/http-app.js';

/** Controllers of one name, as two modules of an app may have them. */
function items(path: string, rules: CacheResponseOptions, host?: string): Type<object> {
  @Controller({ path, ...(host !== undefined && { host }) })
  class Items {
    @Get(':id')
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

  it('are refused at boot when the host does not count, and alone tells them apart', async () => {
    const rules = { hosts: false } as const;
    const controllers = [items('items', rules, 'a.example'), items('items', rules, 'b.example')];
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
    ];
    app = await HttpApp.open('express', { controllers });
    const paths = ['admin', 'public', 'c', 'd', 'x', 'y', 'admin'];
    const from: string[] = [];
    for (const path of paths) from.push((await app.ask(`/${path}/1`)).body);
    expect(from).toEqual(paths.map((path) => JSON.stringify({ from: path })));
  });
});
