export default {
  testEnvironment: 'node',
  // lmdb's native handles and fake timers trip over jest's own clean-up of globals
  testEnvironmentOptions: { globalsCleanup: 'off' },
  roots: ['<rootDir>/test'],
  reporters: ['default', '<rootDir>/test/support/fault-table-reporter.js'],
  testSequencer: '<rootDir>/test/support/longest-first.js',
  testMatch: ['**/*.spec.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
          target: 'es2022',
          keepClassNames: true,
        },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
  // Ends what hangs; no test is judged by how long it takes. The full rounds of the long run may take an hour.
  testTimeout: process.env['LANE_CACHE_ROUNDS'] === undefined ? 120_000 : 3_600_000,
  // What a suite has loaded is not collected. A worker with a full heap takes twice as long for each suite, so it is replaced.
  workerIdleMemoryLimit: '300MB',
  setupFilesAfterEnv: ['<rootDir>/test/support/retry-real-machines.ts', '<rootDir>/test/support/equal-bytes.ts'],
  collectCoverageFrom: ['lib/**/*.ts'],
  coverageProvider: 'v8',
};
