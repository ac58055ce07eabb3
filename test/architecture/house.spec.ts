import { describe, expect, it } from '@jest/globals';
import {
  clockViolations,
  consoleViolations,
  coreViolations,
  entryPointViolations,
  moduleBorderViolations,
} from './borders.js';
import { FLOORS, floorViolations, FRONT_DOOR } from './floors.js';
import { barrelViolations, cycleViolations, folderViolations, lengthViolations, smallFileViolations } from './shape.js';
import { parseSource, readTree, type Source } from './source-tree.js';

const lib = readTree('lib');

/** A tree that exists in this test only. */
function tree(files: Readonly<Record<string, string>>): readonly Source[] {
  return Object.entries(files).map(([path, text]) => parseSource(path, text));
}

describe('the house', () => {
  it('has rooms, and every room has a floor', () => {
    expect(lib.length).toBeGreaterThan(10);
    const rooms = new Set(lib.filter(({ path }) => path.includes('/')).map(({ path }) => path.split('/')[0]));
    expect([...rooms].filter((room) => room === undefined || FLOORS[room] === undefined)).toEqual([]);
  });

  it.each<readonly [string, (tree: readonly Source[]) => readonly string[]]>([
    ['imports point strictly down', floorViolations],
    ['files, databases, sockets, Redis and timers stay in their rooms', moduleBorderViolations],
    ['the core does without Nest', coreViolations],
    ['time, timers and chance come from the clock', clockViolations],
    ['only the command line writes to the console', consoleViolations],
    ['nothing inside imports the entry point', entryPointViolations],
    ['there are no barrels inside rooms', barrelViolations],
    ['folders are named after what they are about', folderViolations],
    ['files stay readable in one go', lengthViolations],
    ['small files with one importer are part of it', smallFileViolations],
    ['nothing imports in circles', cycleViolations],
  ])('%s', (_, violations) => {
    expect(violations(lib)).toEqual([]);
  });
});

describe('the floors', () => {
  it('lets a room see itself and what lies below', () => {
    const sound = tree({
      'cache/a.ts': `import { b } from './b.js';\nimport type { Clock } from '../clock/clock.js';`,
      'index.ts': `export { a } from './cache/a.js';`,
      'testing/index.ts': `export { a } from '../cache/a.js';`,
    });
    expect(floorViolations(sound)).toEqual([]);
  });

  it('refuses a step up', () => {
    expect(floorViolations(tree({ 'entries/key.ts': `\nimport { x } from '../tiers/tier.js';` }))).toEqual([
      `entries/key.ts:2 imports tiers/tier.ts: 'entries' is on floor 2, 'tiers' above it on 6`,
    ]);
  });

  it('refuses a step sideways', () => {
    expect(floorViolations(tree({ 'lanes/a.ts': `import '../storage/b.js';` }))).toEqual([
      `lanes/a.ts:1 imports storage/b.ts: 'lanes' and 'storage' are on the same floor`,
    ]);
  });

  it('refuses a room that it does not know', () => {
    expect(floorViolations(tree({ 'attic/a.ts': '' }))).toEqual([
      `attic/a.ts:1 lies in 'attic', a room without a floor`,
    ]);
    expect(floorViolations(tree({ 'cache/a.ts': `import '../attic/b.js';` }))).toHaveLength(1);
  });

  it.each([
    [`import { x } from '../cache/x.js';`],
    [`import type { X } from '../cache/x.js';`],
    [`export { x } from '../cache/x.js';`],
    [`export * from '../cache/x.js';`],
    [`const x = await import('../cache/x.js');`],
    ['const x = await import(`../cache/x.js`);'],
    [`const x = require('../cache/x.js');`],
    [`import x = require('../cache/x.js');`],
    [`type X = import('../cache/x.js').X;`],
    [`import '../cache/x.js';`],
  ])('sees an import spelled %s', (text) => {
    expect(floorViolations(tree({ 'clock/a.ts': text }))).toHaveLength(1);
  });

  it('puts the files beside the rooms above all but the command line', () => {
    expect(FLOORS[FRONT_DOOR]).toBeGreaterThan(FLOORS['redis'] ?? Infinity);
    expect(FLOORS['cli']).toBeGreaterThan(FLOORS[FRONT_DOOR] ?? Infinity);
  });
});

describe('the borders', () => {
  it.each([
    ['cache', 'node:fs'],
    ['cache', 'fs/promises'],
    ['tiers', 'lmdb'],
    ['http', 'node:net'],
    ['keyv', 'ioredis'],
    ['cache', '@redis/client'],
    ['redis', 'node:timers/promises'],
  ])('refuses %s to import %s', (room, specifier) => {
    const [violation] = moduleBorderViolations(tree({ [`${room}/a.ts`]: `\n\nimport * as x from '${specifier}';` }));
    expect(violation).toContain(`${room}/a.ts:3 imports '${specifier}'`);
  });

  it.each([
    ['storage/a.ts', 'node:fs'],
    ['cli/a.ts', 'node:net'],
    ['redis/a.ts', 'redis'],
    ['cache/a.ts', 'node:util'],
  ])('lets %s import %s', (path, specifier) => {
    expect(moduleBorderViolations(tree({ [path]: `import * as x from '${specifier}';` }))).toEqual([]);
  });

  it('keeps Nest out of the core, and files of other rooms that import it', () => {
    const files = {
      'app/a.ts': `\nimport { Logger } from '@nestjs/common';`,
      'app/b.ts': `import { x } from '../decorators/x.js';`,
      'app/c.ts': `import { b } from './b.js';`,
      'decorators/x.ts': `import type { Y } from './y.js';`,
      'decorators/y.ts': `const { Inject } = await import('@nestjs/common');`,
    };
    expect(coreViolations(tree(files))).toEqual([
      `app/a.ts:2 imports '@nestjs/common', and with it Nest, into the core`,
      `app/b.ts:1 imports '../decorators/x.js', and with it Nest, into the core`,
    ]);
  });

  it('lets the core import what others of those rooms do not need Nest for, and types with a mode of their own', () => {
    const files = {
      'app/a.ts': `import type { L } from '@nestjs/common' with { 'resolution-mode': 'import' };`,
      'app/b.ts': `import { x } from '../decorators/x.js';`,
      'decorators/x.ts': `import { z } from '../lanes/z.js';`,
      'lanes/z.ts': '',
      'module/m.ts': `import { Module } from '@nestjs/common';`,
    };
    expect(coreViolations(tree(files))).toEqual([]);
  });

  it.each([
    ['const t = Date.now();', 'Date.now'],
    ['const t = performance.now();', 'performance'],
    ['const t = new Date();', 'new Date()'],
    ['setTimeout(run, 5);', 'setTimeout'],
    ['globalThis.setInterval(run, 5);', 'setInterval'],
    ['const later = setImmediate;', 'setImmediate'],
    ['const x = Math.random();', 'Math.random'],
    [`import { randomBytes } from 'node:crypto';`, 'randomBytes'],
    ['AbortSignal.timeout(5);', 'AbortSignal.timeout'],
  ])('refuses %s outside the clock', (text, name) => {
    expect(clockViolations(tree({ 'cache/a.ts': text }))).toEqual([
      `cache/a.ts:1 uses ${name}, which belongs in clock`,
    ]);
    expect(clockViolations(tree({ 'clock/a.ts': text }))).toEqual([]);
  });

  it('has no quarrel with given dates and with words in comments and texts', () => {
    const text = `// Date.now() and setTimeout\nconst at = new Date(5);\nconst say = 'console.log(Math.random())';`;
    const sound = tree({ 'cache/a.ts': text });
    expect([...clockViolations(sound), ...consoleViolations(sound)]).toEqual([]);
  });

  it('refuses the console outside the command line', () => {
    expect(consoleViolations(tree({ 'cache/a.ts': `console.warn('x');` }))).toHaveLength(1);
    expect(consoleViolations(tree({ 'cli/a.ts': `console.log('x');` }))).toEqual([]);
  });

  it('refuses an import of the entry point', () => {
    const [violation] = entryPointViolations(tree({ 'cache/a.ts': `import { x } from '../index.js';` }));
    expect(violation).toContain('cache/a.ts:1');
  });
});

describe('the shape', () => {
  it('refuses folders that are named after kinds of files', () => {
    expect(folderViolations(tree({ 'cache/utils/a.ts': '', 'types/b.ts': '', 'cache/c.ts': '' }))).toHaveLength(2);
  });

  it('refuses barrels, save for entry points', () => {
    expect(barrelViolations(tree({ 'cache/index.ts': '', 'testing/index.ts': '', 'index.ts': '' }))).toEqual([
      'cache/index.ts:1 is a barrel inside a room',
    ]);
  });

  it('refuses a file that has grown too long', () => {
    const long = tree({ 'cache/long.ts': 'let x;\n'.repeat(601), 'cache/good.ts': 'let x;\n'.repeat(600) });
    expect(lengthViolations(long)).toEqual(['cache/long.ts:601 is longer than 600 lines']);
  });

  it('refuses a small file with one importer, and a list that names others', () => {
    const small = tree({ 'cache/a.ts': `import './b.js';\nimport './c.js';`, 'cache/b.ts': '', 'cache/c.ts': '' });
    expect(smallFileViolations(small, { 'cache/c.ts': 'is looked up', 'cache/d.ts': 'is gone' })).toEqual([
      'cache/b.ts:1 is small, and cache/a.ts alone imports it',
      'cache/d.ts stands on the list of small files and is none',
    ]);
    const twice = tree({ 'cache/a.ts': `import './b.js';`, 'cache/c.ts': `import './b.js';`, 'cache/b.ts': '' });
    expect(smallFileViolations(twice, {})).toEqual([]);
  });

  it('refuses circles, also those of types alone', () => {
    const round = tree({
      'cache/a.ts': `import './b.js';`,
      'cache/b.ts': `import type { C } from './c.js';`,
      'cache/c.ts': `import './a.js';`,
      'cache/d.ts': `import './a.js';`,
    });
    expect(cycleViolations(round)).toEqual([
      'cache/c.ts:1 closes a circle: cache/a.ts -> cache/b.ts -> cache/c.ts -> cache/a.ts',
    ]);
  });
});
