import { expect, jest } from '@jest/globals';
import { basename } from 'node:path';

/**
 * Suites over real servers and real processes have deadlines of a quarter of a second in them, which a machine that is
 * busy with other suites misses now and then. They get a second try, and say so. Not so what judges histories, checkpoints
 * and steps: a stale read, or a state that was lost, has happened, and does not go away because it does not happen again.
 */
const ONE_TRY = /histories|checkpoint|steps?[.-]|workflow|leases-after|resent-saves|redis-listings/;
const { testPath = '' } = expect.getState();
if (
  !ONE_TRY.test(basename(testPath)) &&
  /[\\/]test[\\/](contract|fault|e2e|concurrency|regressions)[\\/]/.test(testPath)
) {
  jest.retryTimes(2, { logErrorsBeforeRetry: true });
}
