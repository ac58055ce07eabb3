import { expect, jest } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';

/** Specs that start processes or servers of their own import one of these. */
const REAL_MACHINES =
  /from '(\.\.\/support\/(child-process|fault-child|redis-server|redis-cluster|nginx|browser|dashboard)\.js|node:(child_process|cluster|worker_threads))'/;
const FOLDERS = /[\\/]test[\\/](contract|fault|e2e|concurrency|regressions)[\\/]/;
/** They judge histories, checkpoints and steps. A stale read, a lost state or a crash has happened, and does not go away. */
const ONE_TRY = /histories|stress|filling|checkpoint|steps?[.-]|workflow|kill|leases-after|resent-saves|redis-listings/;

/**
 * Real servers and processes have deadlines of a quarter of a second, which a machine that is busy with other suites
 * misses now and then. A spec of them has two more tries, and says so. What runs in one process has one try.
 */
const { testPath = '' } = expect.getState();
const isReal = FOLDERS.test(testPath) && REAL_MACHINES.test(readFileSync(testPath, 'utf8'));
if (isReal && !ONE_TRY.test(basename(testPath))) jest.retryTimes(2, { logErrorsBeforeRetry: true });
