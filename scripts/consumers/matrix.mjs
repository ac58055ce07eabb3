/** The apps into which the package is installed, and the steps that run there. */

const nest = (version) => ({
  '@nestjs/common': version,
  '@nestjs/core': version,
  '@nestjs/platform-express': version,
  '@nestjs/testing': version,
  'reflect-metadata': '^0.2.2',
  rxjs: '^7.8.2',
});

const JEST = { jest: '^30.5.2', '@swc/core': '^1.16.22', '@swc/jest': '^0.2.39' };
const VITEST = { vitest: '^4.0.0', '@swc/core': '^1.16.22', 'unplugin-swc': '^1.5.0' };

/** All optional peers that need no server. */
const PEERS_12 = {
  '@nestjs/cache-manager': '^12.0.0',
  '@nestjs/terminus': '^12.0.0',
  '@nestjs/schedule': '^12.0.0',
  'prom-client': '^15.1.3',
};
const PEERS_11 = {
  '@nestjs/cache-manager': '^3.0.0',
  '@nestjs/terminus': '^11.0.0',
  '@nestjs/schedule': '^6.0.0',
  'prom-client': '^15.1.3',
};

const RUN_JEST_ESM = ['--experimental-vm-modules', 'node_modules/jest/bin/jest.js', '--config', 'jest.esm.json'];
const RUN_JEST_CJS = ['node_modules/jest/bin/jest.js', '--config', 'jest.cjs.json'];
const RUN_VITEST = ['node_modules/vitest/vitest.mjs', 'run'];
/** They provide another Node, and Bun. */
const NODE_PACKAGE = `node-${process.platform}-${process.arch}`;
const BUN_PACKAGE = `@oven/bun-${process.platform}-${process.arch}`;
const RUN_PLAIN = [['esm.mjs'], ['cjs.cjs']];

/** Also compiles the lines of `test/typing` against the declarations of the package. */
const typed = (name, typescript, inCi) => ({
  name: `typescript-${name}`,
  app: 'typed',
  alsoFrom: 'test/typing',
  type: 'module',
  inCi,
  dependencies: { ...nest('^12.0.0'), typescript, '@types/node': '^20.19.0' },
  steps: [
    ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json'],
    ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.bundler.json'],
    ['node_modules/typescript/bin/tsc', '-p', 'lane-names'],
  ],
});

const plain = (node) => ({
  name: node === undefined ? 'plain' : `plain-node-${node}`,
  app: 'plain',
  type: 'module',
  inCi: node === undefined,
  isBare: node === undefined,
  ...(node === undefined ? {} : { node, runtime: `${NODE_PACKAGE}/bin/node` }),
  dependencies: node === undefined ? {} : { [NODE_PACKAGE]: node },
  steps: RUN_PLAIN,
});

/** Needs a redis-server on PATH. */
const shared = (client, version) => ({
  name: `${client}-${version}`,
  app: 'shared',
  type: 'module',
  inCi: false,
  dependencies: { [client]: `^${version}.0.0` },
  steps: [['instances.mjs']],
});

const nestApp = (name, type, dependencies, step, more = {}) => ({
  name,
  app: 'nest-app',
  type,
  inCi: false,
  dependencies,
  steps: [step],
  ...more,
});

const WITH_PEERS = { environment: { PEERS: 'with' } };

const dropIn = (version, keyv, { more, ...rest } = {}) => ({
  name: `drop-in-keyv-${version}`,
  app: 'drop-in',
  type: 'module',
  inCi: false,
  dependencies: { ...nest('^12.0.0'), ...PEERS_12, 'cache-manager': '^7.2.9', keyv, ...more },
  steps: [['--test', 'app.test.mjs']],
  ...rest,
});

/** `nest new` of Nest 11 makes CommonJS, that of Nest 12 ES modules and needs Node 22 or 24. */
const nestAdd = (name, version, { more, steps = [], ...rest } = {}) => ({
  name,
  app: 'nest-add',
  type: 'module',
  inCi: false,
  dependencies: { ...nest(version), '@nestjs/cli': version, '@nestjs/schematics': version, ...NEST_ADD_TOOLS, ...more },
  steps: [['run.mjs', ...steps]],
  ...rest,
});
const NEST_ADD_TOOLS = {
  typescript: '~5.9.0',
  '@types/node': '^24.0.0',
  '@types/express': '^5.0.0',
  '@types/jest': '^30.0.0',
  redis: '^6.0.0',
};

export const CONSUMERS = [
  nestApp('nest-12-esm-jest', 'module', { ...nest('^12.0.0'), ...JEST }, RUN_JEST_ESM, { inCi: true }),
  nestApp('nest-11-cjs-jest', 'commonjs', { ...nest('^11.0.0'), ...JEST, ...PEERS_11 }, RUN_JEST_CJS, {
    inCi: true,
    ...WITH_PEERS,
  }),
  plain(undefined),
  // Nest 12 is made of ES modules, which CommonJS cannot load under Plug'n'Play
  {
    name: 'yarn-4-pnp',
    app: 'plain',
    type: 'module',
    inCi: true,
    manager: 'yarn 4',
    dependencies: nest('^11.0.0'),
    steps: RUN_PLAIN,
  },
  {
    name: 'pm2',
    app: 'pm2',
    type: 'module',
    inCi: true,
    dependencies: { ...nest('^12.0.0'), pm2: '^7.0.4' },
    steps: [['reload.mjs']],
  },
  { name: 'pnpm', app: 'plain', type: 'module', inCi: true, manager: 'pnpm', dependencies: {}, steps: RUN_PLAIN },
  {
    name: 'no-native-binary',
    app: 'no-binary',
    type: 'module',
    inCi: true,
    omitOptional: true,
    dependencies: nest('^11.0.0'),
    steps: [['esm.mjs'], ['cjs.cjs']],
  },
  {
    name: 'bun',
    app: 'plain',
    type: 'module',
    inCi: false,
    runtime: `${BUN_PACKAGE}/bin/bun`,
    dependencies: { [BUN_PACKAGE]: '^1.3.0' },
    steps: RUN_PLAIN,
  },
  typed('6', '~6.0.2', true),
  nestAdd('nest-add-nest-11-cjs', '^11.0.0', { inCi: true }),
  nestAdd('nest-add-nest-12-esm', '^12.0.0', {
    runtime: `${NODE_PACKAGE}/bin/node`,
    node: '24',
    steps: ['--no-observe'],
    more: { [NODE_PACKAGE]: '24', typescript: '^6.0.2', vitest: '^4.0.0' },
  }),
  nestApp('nest-12-esm-jest-peers', 'module', { ...nest('^12.0.0'), ...JEST, ...PEERS_12 }, RUN_JEST_ESM, WITH_PEERS),
  nestApp('nest-12-esm-vitest', 'module', { ...nest('^12.0.0'), ...VITEST }, RUN_VITEST),
  nestApp('nest-11-esm-jest', 'module', { ...nest('^11.0.0'), ...JEST }, RUN_JEST_ESM),
  nestApp('nest-11-cjs-jest-bare', 'commonjs', { ...nest('^11.0.0'), ...JEST }, RUN_JEST_CJS),
  plain('22'),
  plain('24'),
  typed('5.4', '~5.4.0', false),
  typed('5.9', '~5.9.0', false),
  typed('7', '^7.0.2', false),
  shared('redis', 5),
  shared('redis', 6),
  shared('ioredis', 5),
  shared('ioredis', 6),
  dropIn('5', '^5.6.0', { inCi: true }),
  // Keyv 6 needs Node 22.19
  dropIn('6', '^6.0.0', {
    runtime: `${NODE_PACKAGE}/bin/node`,
    node: '24',
    environment: { KEYV: '6' },
    more: { [NODE_PACKAGE]: '24' },
  }),
  {
    name: 'keyv-suite',
    app: 'keyv-suite',
    type: 'module',
    inCi: false,
    dependencies: { keyv: '^5.6.0', '@keyv/test-suite': '^2.1.2' },
    steps: [['--test', 'suite.mjs']],
  },
];
