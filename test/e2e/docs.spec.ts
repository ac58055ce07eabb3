import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CacheManager } from '../../lib/index.js';
import { PROMETHEUS_METRICS } from '../../lib/metrics/prometheus-metrics.js';
import { readDocPages } from '../support/doc-pages.js';
import { complaints, programsOf, run } from '../support/doc-programs.js';
import { exampleProgramsOf, publicSymbols } from '../support/public-symbols.js';

const ROOT = process.cwd();
const PAGES = readDocPages(ROOT);
const PROGRAMS = PAGES.filter(({ path }) => path === 'README.md' || path.startsWith('docs/')).flatMap(({ blocks }) =>
  programsOf(blocks),
);

describe('the code in the documentation', () => {
  it('compiles, on pages and in docstrings', () => {
    const examples = exampleProgramsOf(publicSymbols());
    expect(PROGRAMS.length).toBeGreaterThan(0);
    expect(examples.length).toBeGreaterThan(30);
    expect(complaints(ROOT, [...PROGRAMS, ...examples])).toEqual([]);
  }, 120_000);

  describe('each program does what its comments state', () => {
    let directory = '';
    const before = process.env['LANE_CACHE_DIR'];

    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), 'lane-cache-docs-'));
      process.env['LANE_CACHE_DIR'] = join(directory, 'default');
    });

    afterEach(async () => {
      if (before === undefined) delete process.env['LANE_CACHE_DIR'];
      else process.env['LANE_CACHE_DIR'] = before;
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    });

    const runnable = PROGRAMS.filter(({ block }) => block.remark === 'run');

    it.each(runnable.map((program) => [`${program.block.page}:${program.block.line}`, program] as const))(
      '%s',
      async (_place, program) => {
        const cache = await CacheManager.fromSettings({ directory: join(directory, 'given') });
        try {
          const { printed, promised } = await run(program, { cache, checkpoints: cache.snapshots }, load);
          expect(printed).toEqual(promised);
        } finally {
          await cache.close();
        }
      },
    );
  });
});

/** The imports of a code block: this library, and packages. */
function load(name: string): Promise<unknown> {
  const [library, entry = ''] = /^nestjs-lane-cache(\/.*)?$/.exec(name) ?? [];
  return import(library === undefined ? name : `../../lib${entry}/index.js`);
}

describe('links in the documentation', () => {
  const links = PAGES.flatMap((page) => page.links);
  const inside = links.flatMap(({ path, ...link }) => (path === undefined ? [] : [{ ...link, path }]));

  it('lead to files that exist', () => {
    expect(inside.length).toBeGreaterThan(0);
    expect(inside.filter(({ path }) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  it('lead to headings that exist', () => {
    const anchorsOf = new Map(PAGES.map(({ path, anchors }) => [path, anchors]));
    const dead = inside.filter(({ path, anchor }) => anchor !== undefined && !anchorsOf.get(path)?.has(anchor));
    expect(dead).toEqual([]);
  });
});

describe('links in what is packed', () => {
  const { files, repository } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const parts: readonly string[] = files;
  const address = String(repository.url).replace(/^git\+|\.git$/g, '');
  const isUnder = (path: string, parent: string): boolean => path === parent || path.startsWith(`${parent}/`);
  const isPacked = (path: string): boolean =>
    parts.some((part) => isUnder(path, part)) &&
    !parts.some((part) => isUnder(path, part.replace(/^!/, '')) && part[0] === '!');
  const packed = PAGES.filter(({ path }) => isPacked(path));

  it('lead to packed files, or to the repository', () => {
    expect(packed.length).toBeGreaterThan(15);
    const links = packed.flatMap((page) => page.links);
    expect(links.filter(({ path }) => path !== undefined && !isPacked(path))).toEqual([]);
  });

  it('lead to files of the repository that exist', () => {
    const texts = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...packed.map(({ path }) => path)];
    const found = texts.flatMap(
      (page) => readFileSync(join(ROOT, page), 'utf8').match(/https:\/\/github\.com\/[^)\s#]+/g) ?? [],
    );
    const inside = found.filter((link) => /\/(blob|tree)\/main\//.test(link));
    expect(inside.length).toBeGreaterThan(0);
    const dead = inside.filter((link) => {
      const [before, path = ''] = link.split(/\/(?:blob|tree)\/main\//);
      return before !== address || !existsSync(join(ROOT, path));
    });
    expect(dead).toEqual([]);
  });
});

describe('the page of errors', () => {
  const text = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8');
  const source = readFileSync(join(ROOT, 'lib/errors/lane-cache.error.ts'), 'utf8');

  it('names each code once, with its cause and its remedy', () => {
    const codes = [...source.matchAll(/^ {2}\| '([A-Z_]+)'/gm)].map(([, code]) => code);
    const rows = [...text.matchAll(/^\| `([A-Z_]+)` +\| (\S.*\.) +\| (\S.*\.) +\|$/gm)].map(([, code]) => code);
    expect(codes.length).toBeGreaterThan(20);
    expect(rows).toEqual(codes);
  });

  it('is made of the comments in the code', () => {
    execFileSync(process.execPath, [join(ROOT, 'scripts/errors-page.mjs'), '--check']);
  });
});

describe('the decisions', () => {
  const text = readFileSync(join(ROOT, 'docs/decisions.md'), 'utf8');
  const held = [...text.matchAll(/^Held by \[([^\]]+)\]\([^)]+\): _(.+)_$/gm)].map(([, path = '', title = '']) => ({
    path,
    title,
  }));

  it('name tests that exist', () => {
    expect(held).toHaveLength(text.match(/^Held by/gm)?.length ?? 0);
    expect(held.filter(({ path, title }) => !readFileSync(join(ROOT, path), 'utf8').includes(title))).toEqual([]);
  });

  it('each name a test, or show a program', () => {
    const decisions = text.split(/\n(?=\*\*|## )/).filter((part) => part.startsWith('**'));
    expect(decisions.length).toBeGreaterThan(50);
    expect(decisions.filter((part) => !/^Held by|^```ts run/m.test(part))).toEqual([]);
  });
});

describe('the dashboard', () => {
  const text = readFileSync(join(ROOT, 'docs/grafana-dashboard.json'), 'utf8');
  const used = new Set(text.match(/lane_cache_\w+/g));

  it('consists of panels with a title, a position and a query each', () => {
    const { panels }: { readonly panels: readonly Record<string, unknown>[] } = JSON.parse(text);
    const charts = panels.filter(({ type }) => type !== 'row');
    expect(charts.length).toBeGreaterThan(0);
    for (const chart of charts) {
      expect(chart).toMatchObject({ title: expect.any(String), gridPos: expect.any(Object) });
      expect(chart['targets']).toContainEqual(
        expect.objectContaining({ expr: expect.stringContaining('lane_cache_') }),
      );
    }
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  });

  it('shows every metric that exists, and no other', () => {
    const defined = PROMETHEUS_METRICS.map(({ name }) => name);
    const lines = ['', '_bucket', '_sum', '_count'];
    const known = PROMETHEUS_METRICS.flatMap(({ name, type }) =>
      type === 'histogram' ? lines.map((line) => name + line) : [name],
    );
    expect([...used].filter((name) => !known.includes(name))).toEqual([]);
    expect(defined.filter((name) => ![...used].some((each) => each.startsWith(name)))).toEqual([]);
  });
});

describe('the alerts', () => {
  const text = readFileSync(join(ROOT, 'docs/prometheus-alerts.yml'), 'utf8');
  const rules = text.split(/^ {6}- alert: /m).slice(1);

  it('are about metrics that exist, with labels that they have', () => {
    const rows = readFileSync(join(ROOT, 'docs/metrics.md'), 'utf8').split('\n');
    const known = new Map(
      rows.flatMap((row) => {
        const [, metrics = '', labels = ''] = row.split('|');
        return [...metrics.matchAll(/`(lane_cache_\w+)`/g)].map(([, name = '']) => [name, labels] as const);
      }),
    );
    expect([...known.keys()].toSorted()).toEqual(PROMETHEUS_METRICS.map(({ name }) => name).toSorted());
    expect(rules.length).toBeGreaterThan(5);
    for (const rule of rules) {
      for (const [, name = '', matchers = ''] of rule.matchAll(/(lane_cache_\w+)(?:\{([^}]*)\})?/g)) {
        expect([...known.keys()]).toContain(name);
        for (const [, label = ''] of matchers.matchAll(/(\w+)(?:=|!=|=~|!~)"/g))
          expect(known.get(name)).toContain(label);
      }
    }
  });

  it('say what they mean and what to do', () => {
    for (const rule of rules) {
      for (const field of ['expr', 'severity', 'summary', 'description'])
        expect(rule).toMatch(new RegExp(`${field}: .+`));
    }
  });
});
