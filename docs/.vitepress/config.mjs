// The site of the documentation: `npm run docs:site` writes it, search included, into docs/.vitepress/dist.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { defineConfig } from 'vitepress';

const DOCS = new URL('../', import.meta.url);
const { description, repository } = JSON.parse(readFileSync(new URL('../package.json', DOCS), 'utf8'));
const REPOSITORY = repository.url.replace(/^git\+|\.git$/g, '');

/** Every page for users, in the order of reading. */
const GROUPS = {
  Start: ['getting-started', 'coming-from'],
  'The cache': ['lanes', 'decorators', 'invalidation', 'http', 'testing'],
  Checkpoints: ['workflows', 'checkpoints'],
  'In production': [
    'deployment',
    'platforms',
    'operating',
    'metrics',
    'command-line',
    'endpoints',
    'dashboard',
    'troubleshooting',
    'errors',
  ],
  'In depth': ['storage', 'distributed', 'scaling', 'eviction', 'compression', 'performance'],
};

/** Pages for readers of the source. The repository shows them with their diagrams. */
const SOURCE = ['architecture', 'decisions'];

const titleOf = (page) => /^# (.+)$/m.exec(readFileSync(new URL(`${page}.md`, DOCS), 'utf8'))[1];

const NOT_ON_SITE = new RegExp(`\\.(json|yml)$|^/docs/(${SOURCE.join('|')})\\.md$`);

function guide() {
  const listed = [...Object.values(GROUPS).flat(), ...SOURCE];
  const pages = readdirSync(DOCS).filter((name) => name.endsWith('.md') && name !== 'index.md');
  const forgotten = pages.map((name) => name.slice(0, -3)).filter((page) => !listed.includes(page));
  if (forgotten.length > 0) throw new Error(`Not in the sidebar of docs/.vitepress/config.mjs: ${forgotten}`);
  const groups = Object.entries(GROUPS).map(([text, names]) => ({
    text,
    items: names.map((page) => ({ text: titleOf(page), link: `/${page}` })),
  }));
  const source = SOURCE.map((page) => ({ text: titleOf(page), link: `${REPOSITORY}/blob/main/docs/${page}.md` }));
  return [...groups, { text: 'The source', items: source }];
}

/** TypeDoc's own sidebar: `npm run docs:api` writes it beside its pages. */
function reference() {
  const file = new URL('api/typedoc-sidebar.json', DOCS);
  if (!existsSync(file)) throw new Error('The API reference is missing. Run `npm run docs:api` first.');
  return [{ text: 'API reference', items: JSON.parse(readFileSync(file, 'utf8')) }];
}

/** A link leads to the site where it has the file, else to the repository. */
function addressOf(link, page) {
  if (/^[a-z]+:|^#/.test(link)) return link.replace(`${REPOSITORY}/raw/main/docs/`, './');
  const { pathname, hash } = new URL(link, `docs:/docs/${page}`);
  const isOnSite = pathname.startsWith('/docs/') && !NOT_ON_SITE.test(pathname);
  return isOnSite ? link : `${REPOSITORY}/blob/main${pathname}${hash}`;
}

/** As GitHub makes them, so that one link fits both. */
const anchorOf = (heading) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-');

export default defineConfig({
  title: 'nestjs-lane-cache',
  description,
  lang: 'en',
  base: '/nestjs-lane-cache/',
  cleanUrls: true,
  srcExclude: SOURCE.map((page) => `${page}.md`),
  rewrites: { 'api/README.md': 'api/index.md' },
  markdown: {
    anchor: { slugify: anchorOf },
    toc: { slugify: anchorOf },
    config(md) {
      md.core.ruler.push('addresses', ({ tokens, env }) => {
        for (const token of tokens.flatMap(({ children }) => children ?? []))
          for (const name of ['href', 'src']) {
            const link = token.attrGet(name);
            if (link !== null) token.attrSet(name, addressOf(link, env.relativePath));
          }
      });
      // braces in a text are text, and no expression of Vue
      for (const rule of ['text', 'code_inline']) {
        const render = md.renderer.rules[rule];
        md.renderer.rules[rule] = (...args) => render(...args).replaceAll('{{', '&#123;&#123;');
      }
    },
  },
  vite: { build: { chunkSizeWarningLimit: 2_000 } },
  themeConfig: {
    nav: [
      { text: 'Guide', link: '/getting-started', activeMatch: '^/(?!api/)' },
      { text: 'API', link: '/api/', activeMatch: '^/api/' },
      { text: 'Changes', link: `${REPOSITORY}/blob/main/CHANGELOG.md` },
    ],
    sidebar: { '/': guide(), '/api/': reference() },
    outline: { level: [2, 3] },
    search: {
      provider: 'local',
      options: {
        // what explains a word comes before what only uses it
        miniSearch: { searchOptions: { boostDocument: (page) => (page.includes('/api/') ? 0.2 : 1) } },
      },
    },
    socialLinks: [{ icon: 'github', link: REPOSITORY }],
    externalLinkIcon: true,
  },
});
