import { afterEach, describe, expect, it } from '@jest/globals';
import { mkdir, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Caches } from '../support/caches.js';

const KEYS = [
  ...['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'then'],
  ...[
    '\0',
    '\0\0',
    'a\0',
    'a\0b',
    'a',
    'a ',
    ' a',
    'A',
    'ä',
    'a\u0308',
    '\u00e4'.normalize('NFD') + '!',
    '\ufeff',
    '\n',
  ],
  ...['\ud800', '\ud801', '\udc00', '\udc00\ud800', 'x\ud800', 'x\ufffd', '\ufffd', '\ufffd\ufffd', '😀', '\ud83d'],
  ...[
    '../../escape',
    '/etc/passwd',
    'C:\\windows',
    '.',
    '..',
    './a',
    'a/',
    'CON',
    '%2e%2e',
    '~',
    '$HOME',
    '`id`',
    '$(id)',
  ],
  ...['a:b', ':', 'docs:a', 'standard:a', 'standard', 'standard#', 'l1:a', 'a:', ':a', 'standard:docs:a', 'heavy#a'],
  ...['*', '?', 'a*', '.*', '[a-z]', '(', '\\', '{0}', '{}', 'null', 'undefined', 'NaN', '0', '-0', '1e3'],
  ...['x'.repeat(1_900), 'x'.repeat(1_901), `${'x'.repeat(1_900)}y`, `${'x'.repeat(65_535)}y`, 'x'.repeat(65_536)],
  ...['é'.repeat(950), '€'.repeat(640), '\ud800'.repeat(1_000), `${'\ud800'.repeat(999)}\ud801`],
];

describe('keys with a special meaning elsewhere', () => {
  const caches = new Caches();
  afterEach(() => caches.close());

  const LANES = ['standard', 'docs', 'heavy'];
  const lanes = Object.fromEntries(LANES.map((lane) => [lane, { l1: { maxEntries: 1 }, l3: { enabled: true } }]));
  const valueOf = (lane: string, key: string): string =>
    `${lane} of ${[...key.slice(0, 20)].map((c) => c.charCodeAt(0)).join()} ${key.length}`;

  it('stay apart in all tiers and lanes, and create no file outside the directory', async () => {
    const parent = await caches.directory();
    const directory = join(parent, 'inner', 'cache');
    await mkdir(dirname(directory));
    const cache = await caches.open({ directory, lanes });
    for (const lane of LANES) {
      const stored = await cache.forLane(lane).setMany(KEYS.map((key) => [key, valueOf(lane, key)]));
      expect(stored).toBe(KEYS.length);
    }
    await cache.flush();
    for (const lane of LANES) {
      const manager = cache.forLane(lane);
      const wrong = [];
      for (const key of KEYS) if ((await manager.get(key)) !== valueOf(lane, key)) wrong.push(key);
      expect(wrong).toEqual([]);
      const found = await manager.getMany(KEYS);
      expect([...found.keys()]).toEqual(KEYS);
      const listed = [];
      for await (const { key } of manager.entries()) listed.push(key);
      expect(new Set(listed)).toEqual(new Set(KEYS));
    }
    await cache.close();

    const restarted = await caches.open({ directory, lanes });
    for (const lane of LANES) {
      const wrong = [];
      for (const key of KEYS) if ((await restarted.forLane(lane).get(key)) !== valueOf(lane, key)) wrong.push(key);
      expect(wrong).toEqual([]);
      expect(restarted.forLane(lane).getMetrics().l3.hits).toBe(KEYS.length);
    }
    expect(await readdir(parent)).toEqual(['inner']);
    expect(await readdir(join(parent, 'inner'))).toEqual(['cache']);
  });

  it('are removed one by one', async () => {
    const cache = await caches.open({ directory: await caches.directory() });
    await cache.setMany(KEYS.map((key) => [key, key.length]));
    await cache.flush();
    const left = new Set(KEYS);
    for (const key of KEYS.filter((_, index) => index % 7 === 0)) {
      expect(await cache.invalidate(key)).toBe(true);
      left.delete(key);
      expect(new Set((await cache.getMany(KEYS)).keys())).toEqual(left);
    }
  });

  it('match only their own patterns', async () => {
    const cache = await caches.open({ directory: await caches.directory() });
    await cache.setMany(KEYS.map((key) => [key, 1]));
    expect(await cache.invalidateByPattern('.*')).toBe(KEYS.filter((key) => key.startsWith('.')).length);
    expect(await cache.invalidateByPattern('[a-z]')).toBe(1);
    expect(await cache.invalidateByPattern('(')).toBe(1);
    expect(await cache.invalidateByPattern('a:b')).toBe(1);
    expect(await cache.invalidateByPattern('*')).toBe(
      KEYS.length - KEYS.filter((key) => key.startsWith('.')).length - 3,
    );
  });

  it('may be tags as well', async () => {
    const cache = await caches.open({ directory: await caches.directory() });
    const tags = KEYS.filter((key) => key.length <= 256);
    for (const tag of tags) await cache.set(`tagged ${tag}`, tag, { tags: [tag] });
    await cache.flush();
    for (const tag of tags) {
      await cache.invalidateByTag(tag);
      expect(await cache.has(`tagged ${tag}`)).toBe(false);
    }
    expect(await cache.getMany(tags.map((tag) => `tagged ${tag}`))).toEqual(new Map());
  });
});
