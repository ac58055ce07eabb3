import { expect, jest } from '@jest/globals';

/**
 * Suites over real servers and real processes have deadlines of a quarter of a second in them, which a machine that is
 * busy with other suites misses now and then. They get a second try, and say so. Not so what judges histories: a stale
 * read has happened, and does not go away because it does not happen again.
 */
const { testPath = '' } = expect.getState();
if (
  !testPath.includes('histories') &&
  /[\\/]test[\\/](contract|fault|e2e|concurrency|regressions)[\\/]/.test(testPath)
) {
  jest.retryTimes(2, { logErrorsBeforeRetry: true });
}
